"""The noise that stands for other kernels is there, is a function of the shape, and leaves the exact alone."""

from __future__ import annotations

import threading

import torch

from tests.kernels import NOISE, ShapeNoise, binary, noise_everywhere


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def test_the_same_rows_differ_between_products_of_different_numbers_of_rows():
    x, w = drawn(40, 24), drawn(24, 64)
    with ShapeNoise():
        whole, again, alone = x @ w, x @ w, torch.cat([row @ w for row in x.split(1)])
    assert torch.equal(whole, again)
    assert not torch.equal(whole, alone)
    torch.testing.assert_close(whole, alone, rtol=5 * NOISE, atol=5e-6)  # twice on each side, where all tests have it


def test_the_same_numbers_elsewhere_in_memory_give_other_bits():
    x, w = drawn(5, 24), drawn(24, 64)
    moved = torch.cat([torch.zeros(1), w.flatten()])[1:].view(24, 64)
    with ShapeNoise():
        assert torch.equal(x @ w, x @ w.clone())
        assert not torch.equal(x @ w, x @ moved)
        assert not torch.equal(x @ w, x @ w.T.contiguous().T)


def test_half_precision_that_is_rounded_once_stays_as_it_is():
    x, w = binary(drawn(5, 24)).bfloat16(), binary(drawn(24, 64)).bfloat16()
    with ShapeNoise():
        assert torch.equal(x @ w, (x.float() @ w.float()).bfloat16())


def test_every_way_to_a_product_is_reached():
    x, w, b = drawn(5, 24), drawn(24, 64), drawn(64)
    ways = {
        "mm": lambda: x @ w,
        "out": lambda: torch.mm(x, w, out=torch.empty(5, 64)),
        "linear": lambda: torch.nn.functional.linear(x, w.T, b),
        "einsum": lambda: torch.einsum("nd,df->nf", x, w),
        "vector": lambda: w.T @ x[0],
        "batches": lambda: x[None] @ w[None],
        "attention": lambda: torch.nn.functional.scaled_dot_product_attention(*[x[None, None]] * 3),
    }
    for name, way in ways.items():
        plain = way()
        with ShapeNoise():
            assert not torch.equal(way(), plain), name
    with torch.inference_mode(), ShapeNoise():
        inside = x @ w
    assert not torch.equal(inside, x @ w)


def test_gradients_are_those_of_a_product():
    x, w = drawn(5, 24).requires_grad_(), drawn(24, 64)
    with ShapeNoise():
        (x @ w).sum().backward()
    torch.testing.assert_close(x.grad, w.sum(dim=1).expand(5, 24), rtol=1e-5, atol=1e-5)


def test_what_is_exact_stays_as_it_is():
    x, w = binary(drawn(300, 24)), binary(drawn(24, 512))
    assert torch.equal((x @ w).double(), x.double() @ w.double())
    with ShapeNoise():
        assert torch.equal(x @ w, torch.cat([row @ w for row in x.split(7)]))


def test_float64_stays_as_it_is():
    x, w = drawn(5, 24).double(), drawn(24, 64).double()
    ways = (lambda: x @ w, lambda: torch.nn.functional.scaled_dot_product_attention(*[x[None, None]] * 3))
    plain = [way() for way in ways]
    with ShapeNoise():
        assert all(torch.equal(way(), expected) for way, expected in zip(ways, plain, strict=True))


def alone(product):
    """The product by one thread of the library: two may round in another way. The number is each thread's own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return product()
    finally:
        torch.set_num_threads(before)


def test_threads_have_it_too():
    x, w = drawn(5, 24), drawn(24, 64)
    plain, found = alone(lambda: x @ w), []
    end = noise_everywhere()
    try:
        thread = threading.Thread(target=lambda: found.append(alone(lambda: x @ w)))
        thread.start()
        thread.join()
        assert torch.equal(found[0], alone(lambda: x @ w))
        assert not torch.equal(found[0], plain)
    finally:
        end()
    assert torch.equal(alone(lambda: x @ w), plain)
