import matplotlib.pyplot as plt

def plot_costs(costs, learning_rate):
    plt.plot(costs)
    plt.title("Learning rate = " + str(learning_rate))
    plt.show()
