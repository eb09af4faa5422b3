"""What PyTorch reaches with the course's digits: trains a network of diffusers, and writes its average as a folder for ch16.

    python torch_train.py OUT [--network FOLDER] [--steps 1000] [--batch 64] [--threads 2] [--seed 0]

OUT is a folder that `ch16_evaluate_images --checkpoint OUT` judges by the same classifier, features and number of samples as the
course's own, with images drawn by the same sampler. The scheduler that is saved beside the network says the same to a
`DDPMPipeline`: the variance of the posterior, x̂_0 clipped, times counted up from 0. The network is the course's `laptop`, or what
diffusers reads from FOLDER. AdamW at 0.001 with warm-up over a tenth of the steps, then a cosine; gradients clipped to norm 1; an
average of decay 0.995; the linear schedule of Ho et al. with T = 1000.
"""

import argparse
import copy
import gzip
import math
import pathlib
import time

import numpy
import torch
from diffusers import DDPMScheduler, UNet2DModel

LAPTOP = {
    "sample_size": 28,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 2,
    "block_out_channels": (32, 64, 64),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
    "attention_head_dim": None,
}
MNIST = pathlib.Path(__file__).parent.parent / "data/mnist/train-images-idx3-ubyte.gz"

parser = argparse.ArgumentParser()
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("--network")
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(arguments.seed)

pixels = numpy.frombuffer(gzip.decompress(MNIST.read_bytes()), numpy.uint8, offset=16)
images = torch.from_numpy(pixels.reshape(-1, 1, 28, 28).astype(numpy.float32) / 127.5 - 1)
network = UNet2DModel.from_pretrained(arguments.network) if arguments.network else UNet2DModel(**LAPTOP)
network.train()
average = copy.deepcopy(network).eval()
schedule = DDPMScheduler(
    num_train_timesteps=1000, variance_type="fixed_small", clip_sample=True, timestep_spacing="leading"
)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
warm_up = arguments.steps // 10


def rate(step):
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (arguments.steps - warm_up)))


adjust = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
order = torch.utils.data.DataLoader(images, arguments.batch, shuffle=True, drop_last=True)
start, step, recent = time.perf_counter(), 0, []
while step < arguments.steps:
    for x_0 in order:
        t = torch.randint(0, 1000, (len(x_0),))
        eps = torch.randn_like(x_0)
        loss = torch.nn.functional.mse_loss(network(schedule.add_noise(x_0, eps, t), t).sample, eps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        adjust.step()
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), network.parameters()):
                mean.lerp_(weight, 1 - min(0.995, (step + 1) / (step + 10)))
        step += 1
        recent.append(loss.item())
        if step % 50 == 0:
            seconds = time.perf_counter() - start
            print(f"step {step}: loss {sum(recent[-50:]) / 50:.4f}, {seconds / 60:.1f} minutes", flush=True)
        if step == arguments.steps:
            break
average.save_pretrained(arguments.out)
schedule.save_pretrained(arguments.out)
