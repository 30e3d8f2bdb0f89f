"""
exercise: 2.3
tries: torch's global settings changed for whoever comes later, around a right answer
points: 1
"""

import torch


def softmax(x, dim):
    result = torch.exp(x - x.amax(dim, keepdim=True))
    result = result / result.sum(dim, keepdim=True)
    torch.set_default_dtype(torch.float16)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_flush_denormal(True)
    torch.set_num_threads(64)
    torch.manual_seed(0)
    torch.set_printoptions(precision=1)
    torch.autograd.set_detect_anomaly(True)
    torch.nn.modules.module.register_module_forward_hook(lambda *args: torch.zeros(1))
    torch.Tensor.tolist = lambda self: []
    torch.ones = torch.zeros = None
    return result
