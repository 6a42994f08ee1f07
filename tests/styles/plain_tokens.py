"""A loss over batches of sequences of tokens, whose labels are numbers of the vocabulary."""

import numpy as np


class CrossEntropyLoss:
    def forward(self, logits, targets):
        """
        logits  : (batches, batch_size, seq_len, vocab_size)
        targets : (batches, batch_size, seq_len)
        """
        shifted = logits - np.max(logits, axis=-1, keepdims=True)
        exp = np.exp(shifted)
        self.probs = exp / np.sum(exp, axis=-1, keepdims=True)
        self.targets = targets.astype(np.int64)
        picked = np.take_along_axis(self.probs, targets[..., np.newaxis], axis=-1).squeeze(-1)
        return np.mean(-np.log(picked))

    def backward(self):
        d_logits = self.probs.copy()
        B, S, L = self.targets.shape
        batch, sequence, token = np.ogrid[:B, :S, :L]
        d_logits[batch, sequence, token, self.targets] -= 1
        return d_logits / (B * S * L)
