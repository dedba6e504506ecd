"""Recurrent networks whose gradients are asked for outside of training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def with_gradients(network: nn.RNNBase) -> AbstractContextManager[object]:
    """What to run a recurrent network in, so that explanations can ask for its gradients.

    cuDNN has none in evaluation mode; PyTorch's own kernels do.
    """
    explained = torch.is_grad_enabled() and not network.training
    return torch.backends.cudnn.flags(enabled=False) if explained else nullcontext()
