"""The PyTorch side of gpu/check: seconds of a training step of the network that diffusers' UNet2DModel builds, in PyTorch alone.

    python torch_step.py laptop|cifar10 BATCH [--device cuda] [--steps 10]

Prints one JSON line: parameters, seconds of a step (a median of five times so many), and the most memory it held, in MiB; first with PyTorch's
defaults, whose convolutions compute in TF32, then with f32 throughout. A step is the mean squared error, gradients, clipping, AdamW.
"""

import argparse
import json
import math
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

NETWORKS = {
    "laptop": dict(size=28, images=1, channels=[32, 64, 64], attention=[1], groups=8, eps=1e-5, dropout=0.0, halve_padding=1),
    "cifar10": dict(size=32, images=3, channels=[128, 256, 256, 256], attention=[1], groups=32, eps=1e-6, dropout=0.1, halve_padding=0),
}


class Residual(nn.Module):
    def __init__(self, inputs, outputs, time, n):
        super().__init__()
        self.norm1 = nn.GroupNorm(n["groups"], inputs, n["eps"])
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.norm2 = nn.GroupNorm(n["groups"], outputs, n["eps"])
        self.dropout = nn.Dropout(n["dropout"])
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class Attention(nn.Module):
    def __init__(self, channels, n):
        super().__init__()
        self.norm = nn.GroupNorm(n["groups"], channels, n["eps"])
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).flatten(2).transpose(1, 2)).chunk(3, dim=2)
        return x + self.out(F.scaled_dot_product_attention(q, k, v)).transpose(1, 2).reshape(b, c, h, w)


class UNet(nn.Module):
    def __init__(self, n):
        super().__init__()
        channels, self.n = n["channels"], n
        time = 4 * channels[0]
        self.time = nn.Sequential(nn.Linear(channels[0], time), nn.SiLU(), nn.Linear(time, time))
        self.first = nn.Conv2d(n["images"], channels[0], 3, padding=1)
        self.down, self.halve, self.up, self.enlarge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        skips, now = [channels[0]], channels[0]

        def pair(inputs, outputs, level):
            attention = Attention(outputs, n) if level in n["attention"] else nn.Identity()
            return nn.ModuleList([Residual(inputs, outputs, time, n), attention])

        for level, outputs in enumerate(channels):
            self.down.append(nn.ModuleList(pair(now if i == 0 else outputs, outputs, level) for i in range(2)))
            skips += [outputs] * 2
            now = outputs
            if level + 1 < len(channels):
                self.halve.append(nn.Conv2d(now, now, 3, stride=2, padding=n["halve_padding"]))
                skips.append(now)
        self.middle = nn.ModuleList([Residual(now, now, time, n), Attention(now, n), Residual(now, now, time, n)])
        for level in reversed(range(len(channels))):
            blocks = []
            for _ in range(3):
                blocks.append(pair(now + skips.pop(), channels[level], level))
                now = channels[level]
            self.up.append(nn.ModuleList(blocks))
            if level > 0:
                self.enlarge.append(nn.Conv2d(now, now, 3, padding=1))
        self.norm = nn.GroupNorm(n["groups"], now, n["eps"])
        self.last = nn.Conv2d(now, n["images"], 3, padding=1)

    def forward(self, x, t):
        half = self.n["channels"][0] // 2
        angles = t[:, None] * torch.exp(-math.log(10000) / half * torch.arange(half, device=x.device))
        time = self.time(torch.cat([angles.cos(), angles.sin()], dim=1))
        x = self.first(x)
        skips = [x]
        for level, blocks in enumerate(self.down):
            for residual, attention in blocks:
                x = attention(residual(x, time))
                skips.append(x)
            if level < len(self.halve):
                x = self.halve[level](x if self.n["halve_padding"] else F.pad(x, (0, 1, 0, 1)))
                skips.append(x)
        x = self.middle[2](self.middle[1](self.middle[0](x, time)), time)
        for level, blocks in enumerate(self.up):
            for residual, attention in blocks:
                x = attention(residual(torch.cat([x, skips.pop()], dim=1), time))
            if level < len(self.enlarge):
                x = self.enlarge[level](F.interpolate(x, scale_factor=2.0))
        return self.last(F.silu(self.norm(x)))


parser = argparse.ArgumentParser()
parser.add_argument("network", choices=NETWORKS)
parser.add_argument("batch", type=int)
parser.add_argument("--device", default="cuda")
parser.add_argument("--steps", type=int, default=10)
arguments = parser.parse_args()
torch.manual_seed(0)
settings = NETWORKS[arguments.network]
network = UNet(settings).to(arguments.device)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
x = torch.randn(arguments.batch, settings["images"], settings["size"], settings["size"], device=arguments.device)
eps, t = torch.randn_like(x), torch.randint(1, 1001, (arguments.batch,), device=arguments.device).float()


def wait():
    if arguments.device != "cpu":
        torch.cuda.synchronize()


def seconds():
    wait()
    start = time.perf_counter()
    for _ in range(arguments.steps):
        loss = F.mse_loss(network(x, t), eps)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    wait()
    return (time.perf_counter() - start) / arguments.steps


measured = {"parameters": sum(p.numel() for p in network.parameters())}
for name, tf32 in [("defaults", True), ("f32", False)]:
    torch.backends.cudnn.allow_tf32 = tf32
    seconds()
    measured[name] = statistics.median(seconds() for _ in range(5))
if arguments.device != "cpu":
    measured["MiB"] = torch.cuda.max_memory_reserved() / 2**20
print(json.dumps(measured))
