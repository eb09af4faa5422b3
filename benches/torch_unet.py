"""The PyTorch side of `cargo bench --profile dev -p ddpm-unet --bench unet`: prints one JSON line of medians, in seconds and MiB.

    python torch_unet.py FOLDER [--batch 64] [--threads 2] [--steps 5]

FOLDER is a network that diffusers reads. A training step is the mean squared error, gradients, AdamW; convolutions are of 32
images, forwards and backwards. The peak is the most memory that the process held while training, imports included.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from diffusers import UNet2DModel

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=5)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)


def seconds(work, rounds):
    work()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def convolution(channels, side):
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1)
    x = torch.randn(32, channels, side, side, requires_grad=True)
    gradient = torch.randn(32, channels, side, side)
    return lambda: layer(x).backward(gradient)


network = UNet2DModel.from_pretrained(arguments.folder)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
channels, side = network.config.in_channels, network.config.sample_size
side = side if isinstance(side, int) else side[0]
x = torch.randn(arguments.batch, channels, side, side)
t = torch.randint(0, 1000, (arguments.batch,))


def step():
    eps = torch.randn_like(x)
    loss = torch.nn.functional.mse_loss(network(x, t).sample, eps)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


def forward():
    with torch.no_grad():
        network(x, t)


before = peak()
measured = {"a training step": seconds(step, arguments.steps)}
measured["memory, MiB"] = peak()
measured["memory of the work alone, MiB"] = peak() - before
measured["a forward pass"] = seconds(forward, arguments.steps)
for channels, side in [(32, 28), (64, 14), (128, 7)]:
    measured[f"3×3 convolution, {channels} channels, {side}×{side}"] = seconds(convolution(channels, side), 4 * arguments.steps)
print(json.dumps(measured, ensure_ascii=False))
