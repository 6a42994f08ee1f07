class Residual:
    def __init__(self, model) -> None:
        self.model = model

    def forward(self, x):
        return self.model(x) + x

    def backward(self, d_prev):
        return self.model.backward(d_prev) + d_prev

    def __call__(self, x):
        return self.forward(x)
