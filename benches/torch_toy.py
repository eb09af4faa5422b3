"""The PyTorch side of `cargo bench --bench toy`: prints one JSON line of medians, in seconds.

    python torch_toy.py [--threads 2] [--epochs 3] [--draws 5] [--loader]

It measures a training step and a draw of 1000 points in 50 steps, with the network and the defaults of tiny-diffusion: 8000 points
in batches of 32, T = 50 with β linear from 1e-4 to 0.02, AdamW at 1e-3, the gradient's norm clipped at 1, the loss read at each step.
Batches are rows picked by their numbers, the fast way; `--loader` takes tiny-diffusion's, a DataLoader, which is slower.
"""

import argparse
import json
import math
import statistics
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

POINTS, BATCH, STEPS, DRAWN = 8000, 32, 50, 1000
WIDTH, HIDDEN = 128, 3  # of an embedding and a layer; how many layers with a shortcut
SCALES = (25.0, 25.0, 1.0)  # of x, y and t before they are embedded


class Shortcut(nn.Module):
    """x + GELU(Wx + b)"""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return x + nn.functional.gelu(self.linear(x))


class Network(nn.Module):
    """Predicts the noise in points at times: sinusoidal embeddings of x, y and t, side by side, then layers."""

    def __init__(self):
        super().__init__()
        first = [nn.Linear(len(SCALES) * WIDTH, WIDTH), nn.GELU()]
        self.layers = nn.Sequential(*first, *(Shortcut() for _ in range(HIDDEN)), nn.Linear(WIDTH, 2))
        half = WIDTH // 2
        self.frequencies = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))

    def forward(self, points, times):
        columns = (points[:, 0], points[:, 1], times)
        embedded = [self.embed(scale * column) for scale, column in zip(SCALES, columns)]
        return self.layers(torch.cat(embedded, dim=-1))

    def embed(self, column):
        angles = column[:, None] * self.frequencies
        return torch.cat((angles.sin(), angles.cos()), dim=-1)


class Toy:
    """Points, a schedule, and a network with its optimizer."""

    def __init__(self, loader):
        self.betas = torch.linspace(1e-4, 0.02, STEPS)
        self.alpha_bars = torch.cumprod(1 - self.betas, dim=0)
        self.points = torch.randn(POINTS, 2)
        self.loader = DataLoader(TensorDataset(self.points), BATCH, shuffle=True) if loader else None
        self.network = Network()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3)

    def batches(self):
        if self.loader:
            return (batch for (batch,) in self.loader)
        return (self.points[rows] for rows in torch.randperm(POINTS).split(BATCH))

    def epoch(self):
        """Algorithm 1 on every point once."""
        for x_0 in self.batches():
            self.train(x_0)

    def train(self, x_0):
        t = torch.randint(STEPS, (len(x_0),))  # from 0, as in tiny-diffusion
        eps = torch.randn_like(x_0)
        alpha_bar = self.alpha_bars[t][:, None]
        x_t = alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps
        loss = nn.functional.mse_loss(self.network(x_t, t), eps)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def draw(self):
        """Algorithm 2, with σ² = β."""
        x = torch.randn(DRAWN, 2)
        for t in reversed(range(STEPS)):
            beta, alpha_bar = self.betas[t], self.alpha_bars[t]
            eps = self.network(x, torch.full((DRAWN,), t))
            x = (x - beta / (1 - alpha_bar).sqrt() * eps) / (1 - beta).sqrt()
            if t > 0:
                x = x + beta.sqrt() * torch.randn_like(x)
        return x


def seconds(work, rounds):
    """Of one call: the median of `rounds`, after one that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--loader", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    toy = Toy(arguments.loader)
    train_step = seconds(toy.epoch, arguments.epochs) / (POINTS // BATCH)
    measured = {"torch": torch.__version__, "threads": arguments.threads}
    measured |= {"train_step_s": train_step, "draw_1000x50_s": seconds(toy.draw, arguments.draws)}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
