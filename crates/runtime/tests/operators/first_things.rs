//! What a newcomer looks up first.

use arenagrad::nn::Phase;
use arenagrad::{Gelu, Reduction};

use super::table::{float, integer, operators, truth};

operators! {
    "torch.cat" (g, x = float(&[2, 3], -2.0, 2.0), y = float(&[4, 3], -2.0, 2.0)) => g.concat(&[x, y], 0);
    "torch.stack" (g, x = float(&[2, 3], -2.0, 2.0), y = float(&[2, 3], -2.0, 2.0)) => g.stack(&[x, y], 0);
    "torch.where" (g, condition = truth(&[4, 3]), x = float(&[4, 3], -2.0, 2.0), y = float(&[3], -2.0, 2.0)) => condition.where_(x, y);
    "torch.reshape" (g, x = float(&[2, 6], -2.0, 2.0)) => x.reshape([3, 4]);
    "torch.reshape(x, (-1, 4)), torch.Tensor.view" (g, x = float(&[2, 6], -2.0, 2.0)) => x.view([-1, 4]);
    "torch.permute" (g, x = float(&[2, 3, 4], -2.0, 2.0)) => x.permute([2, 0, 1]);
    "torch.transpose" (g, x = float(&[2, 3, 4], -2.0, 2.0)) => x.transpose(1, 2);
    "torch.unsqueeze" (g, x = float(&[2, 3], -2.0, 2.0)) => x.unsqueeze(1);
    "torch.squeeze(dim)" (g, x = float(&[2, 1, 3], -2.0, 2.0)) => x.squeeze(1);
    "torch.tril" (g, x = float(&[4, 4], -2.0, 2.0)) => x.tril(0);
    "torch.triu" (g, x = float(&[4, 4], -2.0, 2.0)) => x.triu(1);
    "torch.clamp" (g, x = float(&[4, 5], -2.0, 2.0)) => x.clamp(Some(-1.0), Some(1.0));
    "torch.sum" (g, x = float(&[4, 5], -2.0, 2.0)) => x.sum(..);
    "torch.sum(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.sum(1);
    "torch.mean" (g, x = float(&[4, 5], -2.0, 2.0)) => x.mean(..);
    "torch.mean(dim=-1, keepdim=True)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.mean_keepdims([-1]);
    "torch.var(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.var(1, 1.0);
    "torch.std(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.std(1, 1.0);
    "torch.amax(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.max(1);
    "torch.amin(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.min(1);
    "torch.argmax(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.argmax(1);
    "torch.logsumexp(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.logsumexp(1);
    "torch.linalg.vector_norm(dim=1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.norm(2.0, 1);
    "torch.Tensor.expand" (g, x = float(&[1, 5], -2.0, 2.0)) => x.broadcast_to([4, 5]);
    "torch.narrow(x, 1, 2, 3)" (g, x = float(&[4, 6], -2.0, 2.0)) => x.slice(1, 2, 5);
    "torch.matmul" (g, x = float(&[2, 3, 4], -2.0, 2.0), y = float(&[4, 5], -2.0, 2.0)) => x.matmul(y);
    "F.linear(x, weight, bias)" (g, x = float(&[3, 4], -2.0, 2.0), weight = float(&[5, 4], -2.0, 2.0), bias = float(&[5], -2.0, 2.0)) =>
        x.linear(weight.transpose(0, 1), Some(bias));
    "F.relu" (g, x = float(&[4, 5], -2.0, 2.0)) => x.relu();
    "F.leaky_relu" (g, x = float(&[4, 5], -2.0, 2.0)) => x.leaky_relu(0.01);
    "F.elu" (g, x = float(&[4, 5], -2.0, 2.0)) => x.elu(1.0);
    "F.softplus" (g, x = float(&[4, 5], -2.0, 2.0)) => x.softplus(1.0, 20.0);
    "F.gelu" (g, x = float(&[4, 5], -2.0, 2.0)) => x.gelu(Gelu::Erf);
    "F.gelu(approximate='tanh')" (g, x = float(&[4, 5], -2.0, 2.0)) => x.gelu(Gelu::Tanh);
    "F.silu" (g, x = float(&[4, 5], -2.0, 2.0)) => x.silu();
    "torch.exp" (g, x = float(&[4, 5], -2.0, 2.0)) => x.exp();
    "torch.log" (g, x = float(&[4, 5], 0.2, 2.0)) => x.log();
    "torch.sqrt" (g, x = float(&[4, 5], 0.2, 2.0)) => x.sqrt();
    "torch.rsqrt" (g, x = float(&[4, 5], 0.2, 2.0)) => x.rsqrt();
    "torch.abs" (g, x = float(&[4, 5], -2.0, 2.0)) => x.abs();
    "torch.square" (g, x = float(&[4, 5], -2.0, 2.0)) => x.square();
    "torch.pow(x, y)" (g, x = float(&[4, 5], 0.2, 2.0), y = float(&[4, 5], -2.0, 2.0)) => x.pow(y);
    "torch.maximum" (g, x = float(&[4, 5], -2.0, 2.0), y = float(&[5], -2.0, 2.0)) => x.maximum(y);
    "torch.minimum" (g, x = float(&[4, 5], -2.0, 2.0), y = float(&[5], -2.0, 2.0)) => x.minimum(y);
    "torch.eq" (g, x = integer(&[4, 5], 0, 3), y = integer(&[5], 0, 3)) => x.equal(y);
    "torch.gt" (g, x = float(&[4, 5], -2.0, 2.0), y = float(&[5], -2.0, 2.0)) => x.greater(y);
    "torch.logical_and" (g, a = truth(&[4, 5]), b = truth(&[5])) => a & b;
    "torch.logical_or" (g, a = truth(&[4, 5]), b = truth(&[5])) => a | b;
    "torch.logical_not" (g, a = truth(&[4, 5])) => !a;
    "torch.sigmoid" (g, x = float(&[4, 5], -2.0, 2.0)) => x.sigmoid();
    "torch.tanh" (g, x = float(&[4, 5], -2.0, 2.0)) => x.tanh();
    "F.softmax(dim=-1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.softmax(-1);
    "F.log_softmax(dim=-1)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.log_softmax(-1);
    "F.layer_norm(x, (5,), weight, bias)" (g, x = float(&[4, 5], -2.0, 2.0), weight = float(&[5], -2.0, 2.0), bias = float(&[5], -2.0, 2.0)) =>
        x.layer_norm(-1, Some(weight), Some(bias), 1e-5);
    "F.rms_norm(x, (5,), weight)" (g, x = float(&[4, 5], -2.0, 2.0), weight = float(&[5], -2.0, 2.0)) => x.rms_norm(-1, Some(weight), 1e-5);
    "F.group_norm(x, 2, weight, bias)" (g, x = float(&[2, 4, 3], -2.0, 2.0), weight = float(&[4], -2.0, 2.0), bias = float(&[4], -2.0, 2.0)) =>
        x.group_norm(2, Some(weight), Some(bias), 1e-5);
    "F.batch_norm(x, mean, variance, weight, bias)" (g, x = float(&[2, 4, 3], -2.0, 2.0), mean = float(&[4], -1.0, 1.0),
        variance = float(&[4], 0.5, 2.0), weight = float(&[4], -2.0, 2.0), bias = float(&[4], -2.0, 2.0)) =>
        x.batch_norm((mean, variance), Some(weight), Some(bias), 1e-5);
    "F.dropout" (g, x = float(&[4, 5], -2.0, 2.0)) => x.dropout_in(Phase::Training, 0.5);
    "F.embedding(indices, weight)" (g, weight = float(&[5, 3], -2.0, 2.0), indices = integer(&[2, 4], 0, 4)) => weight.index_select(0, indices);
    "F.one_hot" (g, labels = integer(&[4], 0, 4)) => labels.one_hot(5);
    "F.mse_loss" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], -2.0, 2.0)) => x.mse_loss(y, Reduction::Mean);
    "F.l1_loss" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], -2.0, 2.0)) => x.l1_loss(y, Reduction::Mean);
    "F.smooth_l1_loss" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], -2.0, 2.0)) => x.smooth_l1_loss(y, 1.0, Reduction::Mean);
    "F.huber_loss" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], -2.0, 2.0)) => x.huber_loss(y, 0.5, Reduction::Mean);
    "F.cross_entropy" (g, logits = float(&[4, 5], -2.0, 2.0), labels = integer(&[4], 0, 4)) => logits.cross_entropy(labels);
    "F.nll_loss" (g, x = float(&[4, 5], -2.0, 2.0), labels = integer(&[4], 0, 4)) => x.log_softmax(-1).nll_loss(labels);
    "F.kl_div" (g, x = float(&[4, 5], -2.0, 2.0), y = float(&[4, 5], 0.1, 0.9)) => x.log_softmax(-1).kl_div(y, false, Reduction::Mean);
    "F.binary_cross_entropy" (g, p = float(&[4, 3], 0.1, 0.9), y = float(&[4, 3], 0.1, 0.9)) => p.binary_cross_entropy(y, Reduction::Mean);
    "F.binary_cross_entropy_with_logits" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], 0.1, 0.9)) =>
        x.binary_cross_entropy_with_logits(y, Reduction::Mean);
    "F.binary_cross_entropy_with_logits(weight=w, pos_weight=p)"
        (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], 0.1, 0.9), w = float(&[4, 1], 0.5, 2.0), p = float(&[3], 0.5, 2.0)) =>
        x.binary_cross_entropy_with_logits_weighted(y, Some(w), Some(p), Reduction::Mean);
}
