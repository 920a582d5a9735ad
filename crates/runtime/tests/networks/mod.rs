//! Whole networks, built with `nn`, against what their public implementations compute in PyTorch: loss, outputs, every gradient
//! and the running statistics. See [`reference`] for the files and for how a network is held against one.

mod autoencoder;
mod gpt2;
mod llama;
mod reference;
mod resnet;
mod sequences;
mod tagger;
mod whisper;
