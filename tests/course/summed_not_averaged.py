import numpy as np

# cost is the sum over the examples, and so are its gradients: consistent, but not the course's

def sigmoid(z):
    return 1/(1+np.exp(-z))

def propagate(w, b, X, Y):
    A = sigmoid(np.dot(w.T,X)+b)
    cost = -np.sum(Y*np.log(A) + (1-Y)*np.log(1-A))
    dw = np.dot(X,(A-Y).T)
    db = np.sum(A-Y)
    return {"dw": dw, "db": db}, cost
