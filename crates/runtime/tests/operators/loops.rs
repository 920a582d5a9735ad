//! Loops over a sequence.

use arenagrad::ScanOptions;

use super::table::{float, operators};

operators! {
    "jax.lax.scan" (g, c = float(&[2, 4], -1.0, 1.0), x = float(&[5, 2, 4], -1.0, 1.0), w = float(&[4], -1.0, 1.0))
        => g.scan(&[c], &[x], |c, x| (vec![(c[0] * w + x[0]).tanh()], vec![c[0]])).map(|of| (of.carries[0], of.outputs[0]));
    "jax.lax.fori_loop" (g, x = float(&[5], 0.5, 2.0))
        => g.scan_with(ScanOptions { length: Some(9), reverse: false }, &[x], &[], |y, _| (vec![(y[0] + x / y[0]) * 0.5], vec![]))
            .map(|of| of.carries[0]);
    "torch.nn.RNNCell" (g, x = float(&[4, 3], -1.0, 1.0), h = float(&[4, 5], -1.0, 1.0), w_ih = float(&[5, 3], -1.0, 1.0),
        w_hh = float(&[5, 5], -0.5, 0.5), b_ih = float(&[5], -0.5, 0.5), b_hh = float(&[5], -0.5, 0.5))
        => x.rnn_cell(h, w_ih, w_hh, Some([b_ih, b_hh]));
    "torch.nn.GRUCell" (g, x = float(&[4, 3], -1.0, 1.0), h = float(&[4, 5], -1.0, 1.0), w_ih = float(&[15, 3], -1.0, 1.0),
        w_hh = float(&[15, 5], -0.5, 0.5), b_ih = float(&[15], -0.5, 0.5), b_hh = float(&[15], -0.5, 0.5))
        => x.gru_cell(h, w_ih, w_hh, Some([b_ih, b_hh]));
    "torch.nn.LSTMCell" (g, x = float(&[4, 3], -1.0, 1.0), h = float(&[4, 5], -1.0, 1.0), c = float(&[4, 5], -1.0, 1.0),
        w_ih = float(&[20, 3], -1.0, 1.0), w_hh = float(&[20, 5], -0.5, 0.5), b_ih = float(&[20], -0.5, 0.5), b_hh = float(&[20], -0.5, 0.5))
        => x.lstm_cell(h, c, w_ih, w_hh, Some([b_ih, b_hh]));
    "torch.rnn_tanh" (g, x = float(&[6, 2, 3], -1.0, 1.0), h = float(&[2, 4], -1.0, 1.0), w_ih = float(&[4, 3], -1.0, 1.0),
        w_hh = float(&[4, 4], -0.5, 0.5), b_ih = float(&[4], -0.5, 0.5), b_hh = float(&[4], -0.5, 0.5))
        => x.rnn_tanh(h, w_ih, w_hh, Some([b_ih, b_hh]));
    "torch.rnn_relu" (g, x = float(&[6, 2, 3], -1.0, 1.0), h = float(&[2, 4], -1.0, 1.0), w_ih = float(&[4, 3], -1.0, 1.0),
        w_hh = float(&[4, 4], -0.5, 0.5)) => x.rnn_relu(h, w_ih, w_hh, None);
    "torch.nn.GRU" (g, x = float(&[6, 2, 3], -1.0, 1.0), h = float(&[2, 4], -1.0, 1.0), w_ih = float(&[12, 3], -1.0, 1.0),
        w_hh = float(&[12, 4], -0.5, 0.5), b_ih = float(&[12], -0.5, 0.5), b_hh = float(&[12], -0.5, 0.5))
        => x.gru(h, w_ih, w_hh, Some([b_ih, b_hh]));
    "torch.nn.LSTM" (g, x = float(&[6, 2, 3], -1.0, 1.0), h = float(&[2, 4], -1.0, 1.0), c = float(&[2, 4], -1.0, 1.0),
        w_ih = float(&[16, 3], -1.0, 1.0), w_hh = float(&[16, 4], -0.5, 0.5), b_ih = float(&[16], -0.5, 0.5), b_hh = float(&[16], -0.5, 0.5))
        => x.lstm(h, c, w_ih, w_hh, Some([b_ih, b_hh]));
}
