import numpy as np


class CaptioningRNN:
    """Captions from features of images, by a recurrent network of one of two kinds."""

    def __init__(
        self, word_to_idx, input_dim=512, wordvec_dim=128, hidden_dim=128, cell_type="rnn",
        dtype=np.float32,
    ):
        if cell_type not in {"rnn", "relu"}:
            raise ValueError('Invalid cell_type "%s"' % cell_type)
        self.cell_type = cell_type
        self.word_to_idx = word_to_idx
        vocab_size = len(word_to_idx)
        self._null = word_to_idx["<NULL>"]
        self.params = {
            "W_proj": np.random.randn(input_dim, hidden_dim) / np.sqrt(input_dim),
            "b_proj": np.zeros(hidden_dim),
            "W_embed": np.random.randn(vocab_size, wordvec_dim) / 10,
            "Wx": np.random.randn(wordvec_dim, hidden_dim) / np.sqrt(wordvec_dim),
            "Wh": np.random.randn(hidden_dim, hidden_dim) / np.sqrt(hidden_dim),
            "b": np.zeros(hidden_dim),
            "W_vocab": np.random.randn(hidden_dim, vocab_size) / np.sqrt(hidden_dim),
            "b_vocab": np.zeros(vocab_size),
        }
        for k, v in self.params.items():
            self.params[k] = v.astype(dtype)

    def loss(self, features, captions):
        captions_in, captions_out = captions[:, :-1], captions[:, 1:]
        mask = captions_out != self._null
        p = self.params
        N, T = captions_in.shape
        embedded = p["W_embed"][captions_in]
        hs = [features @ p["W_proj"] + p["b_proj"]]
        for t in range(T):
            z = embedded[:, t] @ p["Wx"] + hs[t] @ p["Wh"] + p["b"]
            if self.cell_type == "rnn":
                h = np.tanh(z)
            else:
                h = np.maximum(z, 0)
            hs.append(h)
        h = np.stack(hs[1:], axis=1)
        scores = h @ p["W_vocab"] + p["b_vocab"]
        probs = np.exp(scores - scores.max(axis=2, keepdims=True))
        probs /= probs.sum(axis=2, keepdims=True)
        n, t = np.meshgrid(np.arange(N), np.arange(T), indexing="ij")
        loss = -np.sum(mask * np.log(probs[n, t, captions_out])) / N

        dscores = probs.copy()
        dscores[n, t, captions_out] -= 1
        dscores *= mask[:, :, None] / N
        grads = {k: np.zeros_like(v) for k, v in p.items()}
        grads["W_vocab"] = np.einsum("nth,ntv->hv", h, dscores)
        grads["b_vocab"] = dscores.sum(axis=(0, 1))
        dh = dscores @ p["W_vocab"].T
        dnext = np.zeros_like(hs[0])
        for t in reversed(range(T)):
            total = dh[:, t] + dnext
            if self.cell_type == "rnn":
                dz = total * (1 - hs[t + 1])
            else:
                dz = total * (hs[t + 1] > 0)
            grads["Wx"] += embedded[:, t].T @ dz
            grads["Wh"] += hs[t].T @ dz
            grads["b"] += dz.sum(axis=0)
            np.add.at(grads["W_embed"], captions_in[:, t], dz @ p["Wx"].T)
            dnext = dz @ p["Wh"].T
        grads["W_proj"] = features.T @ dnext
        grads["b_proj"] = dnext.sum(axis=0)
        return loss, grads
