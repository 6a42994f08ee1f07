"""A network that collects the parameters of its layers, which are made in another file."""


class Sequential:
    def __init__(self, layers):
        self.layers = layers
        self.params, self.grads = {}, {}
        for i, layer in enumerate(self.layers):
            if hasattr(layer, "params") and layer.params:
                for name, value in layer.params.items():
                    self.params[f"layer_{i}_{name}"] = value
                    self.grads[f"layer_{i}_{name}"] = layer.grads[name]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad):
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        return grad
