"""Learning-rate tools: Algorithm 1, stability thresholds, static and dynamic rule, learner, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab.algorithms import step_thresholds
from theorylab.algorithms.curvature_learner import drop_heavy, learn_step, step_from_curvature
from theorylab.algorithms.hessian_variance import hessian_variance_probe
from theorylab.algorithms.learning_rates import Limit, suggest_learning_rate
from theorylab.algorithms.step_thresholds import heavy_ball_threshold, largest_stable_step, nesterov_threshold


def generator(seed=0):
    return np.random.default_rng(seed)


def sample_hessians(samples=12, p=30, seed=0):
    draws = generator(seed).standard_normal((samples, p, p))
    return np.eye(p) + (draws + draws.transpose(0, 2, 1)) / np.sqrt(2.0)


# Algorithm 1


def test_mean_over_directions_is_the_variance_of_the_entries():
    hessians = sample_hessians()
    n, p = hessians.shape[0], hessians.shape[1]
    noise = p * np.sum(np.var(hessians, axis=0, ddof=1)) / p**2
    probes = [hessian_variance_probe(lambda v: hessians @ v, p, rng=generator(), direction=e) for e in np.eye(p)]
    # The mean over an orthonormal basis is the mean over the sphere.
    assert np.mean([probe.noise for probe in probes]) == pytest.approx(noise, rel=1e-12)
    assert np.mean([probe.corrected for probe in probes]) == pytest.approx(noise * (n - 1) / n, rel=1e-12)


def test_printed_and_corrected_are_their_formulas():
    hessians = sample_hessians()
    v = generator(1).standard_normal(30)
    v /= np.linalg.norm(v)
    probe = hessian_variance_probe(lambda u: hessians @ u, 30, rng=generator(), direction=v)
    squares, mean = np.sum((hessians @ v) ** 2), hessians.mean(axis=0) @ v
    assert probe.corrected == pytest.approx(squares / 12 - mean @ mean, rel=1e-12)
    assert probe.printed == pytest.approx(squares - (v @ mean) ** 2, rel=1e-12)
    assert probe.printed > 10 * probe.corrected
    assert probe.curvature == pytest.approx(v @ mean, rel=1e-12)


def test_blocks_of_samples_and_a_large_mean_change_nothing():
    hessians = sample_hessians()
    shifted = hessians + 1e7 * np.eye(30)
    whole = hessian_variance_probe(lambda v: hessians @ v, 30, rng=generator(2))
    blocks = hessian_variance_probe(lambda v: (part @ v for part in np.split(shifted, 3)), 30, rng=generator(2))
    assert blocks.noise == pytest.approx(whole.noise, rel=1e-7)
    assert blocks.samples == whole.samples == 12


def test_equal_samples_have_no_noise():
    probe = hessian_variance_probe(lambda v: np.tile(v, (5, 1)), 4, rng=generator())
    assert probe.noise == 0.0
    assert probe.curvature == pytest.approx(1.0)


# Stability thresholds


def second_moment_radius(eta, lam, noise, rho, nesterov):
    """Spectral radius of E[M (x) M] for the model with epsilon = +-s times the identity, written out on its own."""
    total = np.zeros((4, 4))
    for sign in (-1.0, 1.0):
        h = lam + sign * np.sqrt(noise)
        first = [(1 + rho) * (1 - eta * h), -rho * (1 - eta * h)] if nesterov else [1 + rho - eta * h, -rho]
        step = np.array([first, [1.0, 0.0]])
        total += 0.5 * np.kron(step, step)
    return np.max(np.abs(np.linalg.eigvals(total)))


@given(st.floats(0.01, 100.0), st.floats(0.0, 1e3), st.floats(0.0, 0.97))
@settings(max_examples=60, deadline=None)
def test_thresholds_are_where_second_moments_start_to_grow(lam, ratio, rho):
    noise = ratio * lam**2
    for nesterov, eta in (
        (False, float(heavy_ball_threshold(lam, momentum=rho, noise=noise))),
        (True, float(nesterov_threshold(lam, momentum=rho, noise=noise))),
    ):
        for share in (1e-3, 0.3, 0.7, 1.0 - 1e-4):
            assert second_moment_radius(share * eta, lam, noise, rho, nesterov) < 1.0
        for factor in (1.0 + 1e-4, 1.5, 4.0):
            assert second_moment_radius(factor * eta, lam, noise, rho, nesterov) > 1.0


def test_momentum_lowers_the_threshold_in_noise_and_raises_it_without():
    plain, ball = heavy_ball_threshold(1.0, noise=[0.0, 1e6]), heavy_ball_threshold(1.0, momentum=0.9, noise=[0.0, 1e6])
    assert ball[0] / plain[0] == pytest.approx(1.9)
    assert plain[1] / ball[1] == pytest.approx(10.0, rel=1e-4)  # the rule rate/(1-rho) of Appendix G


def test_nesterov_without_noise_or_momentum_is_textbook():
    for rho in (0.0, 0.5, 0.9):
        assert nesterov_threshold(3.0, momentum=rho) == pytest.approx((2 + 2 * rho) / (3 * (1 + 2 * rho)), rel=1e-12)
    assert nesterov_threshold(3.0, momentum=0.0, noise=5.0) == pytest.approx(heavy_ball_threshold(3.0, noise=5.0))


@pytest.mark.kernels
@pytest.mark.parametrize("method", ["heavy ball", "nesterov", "averaged gradient"])
def test_measured_steps_are_the_thresholds(method):
    spectrum = np.array([0.2, 1.0, 5.0])
    found = largest_stable_step(spectrum, method, steps=2000, momentum=0.9, rng=generator())
    exact = {
        "heavy ball": float(heavy_ball_threshold(5.0, momentum=0.9)),
        "averaged gradient": 10.0 * float(heavy_ball_threshold(5.0, momentum=0.9)),
        "nesterov": float(nesterov_threshold(5.0, momentum=0.9)),
    }[method]
    assert found == pytest.approx(exact, rel=0.015)


@pytest.mark.kernels
def test_adam_with_large_delta_is_an_averaged_gradient():
    tiny = np.full(2, 1e-6)
    # Close to the minimum sqrt(v) << delta = 1: Adam is heavy ball at rate (1 - beta_1) times its own.
    adam = largest_stable_step(
        [5.0, 1.0], "adam", steps=4000, delta=1.0, second_momentum=0.9, start=tiny, rng=generator()
    )
    average = largest_stable_step([5.0, 1.0], "averaged gradient", steps=4000, rng=generator())
    assert adam == pytest.approx(2 * 1.9 / 0.1 / 5.0, rel=0.03)
    assert adam == pytest.approx(average, rel=0.03)


@pytest.mark.kernels
def test_adam_without_delta_has_the_scale_of_its_noise():
    def step(scale):
        start = np.full(2, scale)
        return largest_stable_step(
            [5.0, 1.0], "adam", steps=2000, noise=scale, start=start, delta=0.0, rng=generator(), ceiling=2.0
        )

    # Iterates, gradients and steps all scale alike; a power of two leaves the bisection on the same grid.
    assert step(4.0) == pytest.approx(4.0 * step(1.0), rel=1e-9)


@pytest.mark.kernels
@pytest.mark.parametrize("kind", range(4))
def test_compiled_loss_is_its_python(kind):
    draws = generator().standard_normal((40, 3))
    arguments = (kind, np.array([2.0, 1.0, 0.0]), np.ones(3), draws, 0.05, 0.9, 0.99, 1e-3)
    assert step_thresholds.late_loss(*arguments) == pytest.approx(
        step_thresholds.late_loss.py_func(*arguments), rel=1e-12
    )
    assert np.isinf(step_thresholds.late_loss(0, *arguments[1:4], 1e5, 0.9, 0.99, 1e-3))


def test_adam_kernel_is_adam():
    rng, lam, eta, delta = generator(), np.array([2.0, 0.5]), 0.01, 1e-8
    draws = rng.standard_normal((20, 2))
    w, m, v, losses = np.ones(2), np.zeros(2), np.zeros(2), []
    for t in range(20):
        g = lam * w + draws[t]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - eta * (m / (1 - 0.9 ** (t + 1))) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + delta)
        losses.append(0.5 * lam @ w**2)
    late = step_thresholds.late_loss(step_thresholds.ADAM, lam, np.ones(2), draws, eta, 0.9, 0.999, delta)
    assert late == pytest.approx(np.mean(losses[-5:]), rel=1e-12)


# Suggested rates


def test_rules_are_those_of_the_paper_and_dynamic_never_exceeds_static():
    hessian = np.diag(np.r_[2.0, np.full(199, 0.1)])
    x = 16.0
    for batch in (1, 4, 8, 64, 512):
        found = suggest_learning_rate(hessian, None, x, batch_size=batch, rng=generator(), momentum=0.9)
        top = 2.0 + x / (2.0 * batch) if x / batch < 4.0 else 2.0 * np.sqrt(x / batch)
        assert found.static == pytest.approx(2.0 / top, rel=1e-6)
        assert found.dynamic == pytest.approx(2.0 / (2.0 + x * 201 / 200 / (2.0 * batch)), rel=1e-6)
        assert found.dynamic <= found.static * (1 + 1e-9)
        assert found.critical_batch == pytest.approx(x * 201 / 200 / 4.0, rel=1e-6)
        assert found.limit is (Limit.NOISE if batch <= 4 else Limit.CURVATURE)
        assert found.suggested == pytest.approx(0.5 * found.with_momentum)
        assert found.limit.value in found.reason
        assert found.curvature_error < 1e-3


def test_exponent_is_the_slope_of_the_rule():
    rates = [
        suggest_learning_rate(np.eye(50), None, 30.0, batch_size=b, rng=generator()) for b in (999, 1000, 1001, 1, 2)
    ]
    slope = np.log(rates[2].dynamic / rates[0].dynamic) / np.log(1001 / 999)
    assert rates[1].exponent == pytest.approx(slope, rel=1e-4)
    assert rates[3].exponent > 0.95


def test_dynamic_threshold_is_where_the_mean_square_grows():
    p, batch, x = 80, 4, 8.0
    found = suggest_learning_rate(np.eye(p), None, x, batch_size=batch, rng=generator())
    rng, w = generator(1), np.eye(p)[0]
    factors = []
    for share in (0.9, 1.1):
        total = 0.0
        for _ in range(1000):
            draws = rng.standard_normal((p, p)) * np.sqrt(x / p / batch / 2)
            total += np.sum((w - share * found.dynamic * (w + (draws + draws.T) @ w)) ** 2)
        factors.append(total / 1000)
    assert factors[0] < 0.97
    assert factors[1] > 1.03


def test_measured_noise_and_full_batch():
    hessians = sample_hessians(samples=40, p=30)
    mean = hessians.mean(axis=0)
    found = suggest_learning_rate(
        mean, None, lambda v: hessians @ v, batch_size=10, population=40, rng=generator(), probes=60
    )
    assert found.noise == pytest.approx(30 * np.mean(np.var(hessians, axis=0, ddof=1)), rel=0.1)
    u = np.linalg.eigh(mean)[1][:, -1]
    top = np.sum((hessians @ u - mean @ u) ** 2) / 39
    assert found.noise_at_top == pytest.approx(top, rel=0.02)
    assert found.effective_batch == pytest.approx(10 / (1 - 10 / 40))
    full = suggest_learning_rate(mean, None, 5.0, batch_size=40, population=40, rng=generator())
    assert full.dynamic == pytest.approx(2.0 / full.curvature)
    assert full.exponent == 0.0


def test_noise_along_the_top_is_seen_where_it_is_not_isotropic():
    scales = generator().exponential(size=200)
    top = np.eye(50)[0]
    found = suggest_learning_rate(
        np.diag(np.r_[np.mean(scales), np.full(49, 1e-3)]),
        None,
        lambda v: np.outer(scales * (v @ top), top),
        batch_size=1,
        rng=generator(),
    )
    assert found.noise_at_top == pytest.approx(np.var(scales, ddof=1), rel=1e-3)
    assert found.noise_at_top > 5 * found.noise


# The learner


def worst_factor(rate, momentum, spectrum, nesterov):
    radii = []
    for lam in spectrum:
        a = 1 - rate * lam
        row = [(1 + momentum) * a, -momentum * a] if nesterov else [1 + momentum - rate * lam, -momentum]
        radii.append(np.max(np.abs(np.linalg.eigvals(np.array([row, [1.0, 0.0]])))))
    return max(radii)


@pytest.mark.parametrize("scale", [0.2, 2.0, 8.0, 80.0])
def test_textbook_rates_contract_at_every_scale_and_printed_ones_do_not(scale):
    spectrum = np.linspace(scale / 40, scale, 60)
    condition = np.sqrt(40.0)
    polyak = worst_factor(*step_from_curvature(scale, scale / 40, rule="polyak"), spectrum, False)
    nesterov = worst_factor(*step_from_curvature(scale, scale / 40, rule="nesterov"), spectrum, True)
    # The square of the rate of Polyak's double root is the contraction of the loss.
    assert polyak == pytest.approx((condition - 1) / (condition + 1), abs=1e-6)
    assert nesterov <= 1 - 1 / condition + 1e-6
    printed = [
        worst_factor(*step_from_curvature(scale, scale / 40, rule=rule, form="printed"), spectrum, rule == "nesterov")
        for rule in ("polyak", "nesterov")
    ]
    assert max(printed) > 1.0 if scale >= 80.0 else min(printed) < 1.0
    assert printed[0] > 1.0 if scale >= 8.0 else printed[0] < 1.0


def test_learner_finds_the_ends_of_the_spectrum():
    hessian = np.diag(np.linspace(0.5, 20.0, 60))
    found = learn_step(hessian, rule="polyak", steps=60, rng=generator())
    assert (found.top, found.bottom) == (pytest.approx(20.0), pytest.approx(0.5))
    assert (found.rate, found.momentum) == step_from_curvature(found.top, found.bottom, rule="polyak")
    assert not (found.capped or found.floored or found.deleted)


def test_heavy_ritz_value_floor_and_cap():
    hessian = np.diag(np.r_[np.full(80, 1e-7), np.linspace(1.0, 4.0, 20)])
    kept = learn_step(hessian, rule="nesterov", steps=15, share=1.0, rng=generator())
    dropped = learn_step(hessian, rule="nesterov", steps=15, rng=generator())
    assert kept.momentum > 0.99
    assert dropped.deleted
    assert dropped.momentum < 0.5
    held = learn_step(hessian, rule="nesterov", steps=15, share=1.0, floor=0.01, cap=0.1, rng=generator())
    assert (held.rate, held.bottom, held.capped, held.floored) == (0.1, 0.01, True, True)
    # An indefinite Hessian is taken in modulus.
    assert learn_step(-np.diag([1.0, 2.0, 4.0]), rule="polyak", steps=3, rng=generator()).top == pytest.approx(4.0)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8).filter(lambda w: sum(w) > 1e-3))
def test_drop_heavy_keeps_a_distribution(weights):
    values = np.arange(len(weights), dtype=float)
    kept, mass = drop_heavy(values, weights)
    assert mass.sum() == pytest.approx(1.0) or mass.size == len(weights) - 1
    heavy = max(weights) > 0.5 * sum(weights) * (1 + 1e-12)
    assert (kept.size < values.size) == (heavy and len(weights) > 1) or max(weights) == pytest.approx(
        0.5 * sum(weights)
    )


# Bad input


def suggest(batch_noise=1.0, hessian=None, **more):
    settings_ = {"batch_size": 4, "rng": generator(), **more}
    return suggest_learning_rate(np.eye(5) if hessian is None else hessian, None, batch_noise, **settings_)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: suggest(batch_size=0), "batch=0"),
        (lambda: suggest(batch_size=9, population=8), "batch=9: must be at most population=8"),
        (lambda: suggest(-1.0), "batch_noise=-1.0"),
        (lambda: suggest(np.nan), "batch_noise=nan"),
        (lambda: suggest(hessian=np.zeros((5, 5))), "largest curvature=.*must be positive"),
        (lambda: suggest(hessian=-np.eye(5)), "largest curvature=-"),
        (lambda: suggest(hessian=np.triu(np.ones((5, 5)))), "not symmetric"),
        (lambda: suggest(momentum=1.0), "momentum=1.0"),
        (lambda: suggest(lambda v: np.tile(v, (1, 1))), "returned 1 rows"),
        (lambda: suggest(lambda v: np.ones((3, 4))), r"block of shape \(3, 4\)"),
        (lambda: suggest(lambda v: np.full((3, 5), np.nan)), "not finite"),
        (lambda: suggest(lambda v: np.ones((3, 5)), probes=0), "probes=0"),
        (lambda: hessian_variance_probe(lambda v: [], 5, rng=generator()), "returned 0 rows"),
        (lambda: hessian_variance_probe(lambda v: v, 5, rng=generator()), "block of shape"),
        (lambda: step_from_curvature(1.0, 0.0, rule="polyak"), "bottom=0.0"),
        (lambda: step_from_curvature(1.0, 2.0, rule="polyak"), "top=1.0, bottom=2.0"),
        (lambda: step_from_curvature(2.0, 1.0, rule="adam"), "rule='adam'"),
        (lambda: drop_heavy([1.0], [0.5, 0.5]), r"values.shape=\(1,\)"),
        (lambda: drop_heavy([1.0, 2.0], [-1.0, 2.0]), "not negative"),
        (lambda: drop_heavy([1.0, 2.0], [1.0, 2.0], share=0.0), "share=0.0"),
        (lambda: learn_step(np.zeros((4, 4)), rule="polyak", steps=2, rng=generator()), "set floor > 0"),
        (lambda: learn_step(np.eye(4), rule="polyak", steps=2, floor=-1.0, rng=generator()), "floor=-1.0"),
        (lambda: learn_step(np.eye(4), rule="polyak", steps=2, cap=0.0, rng=generator()), "cap=0.0"),
        (lambda: learn_step(np.eye(4), rule="polyak", rng=generator()), "steps=20: must be at most n=4"),
        (lambda: heavy_ball_threshold(0.0), "curvature=0.0"),
        (lambda: heavy_ball_threshold(1.0, noise=-1.0), "noise=-1.0"),
        (lambda: nesterov_threshold(1.0, momentum=-0.1), "momentum=-0.1"),
        (lambda: largest_stable_step([0.0], "adam", steps=5, rng=generator()), "eigenvalues="),
        (lambda: largest_stable_step([1.0], "sgd", steps=5, rng=generator()), "method='sgd'"),
        (lambda: largest_stable_step([1.0], "adam", steps=0, rng=generator()), "steps=0"),
        (lambda: largest_stable_step([1.0], "adam", steps=5, start=[1.0, 2.0], rng=generator()), "start.shape"),
        (lambda: largest_stable_step([1.0], "adam", steps=5, delta=-1.0, rng=generator()), "delta=-1.0"),
        (lambda: step_thresholds.bisected_threshold(lambda eta: True, guess=1.0), "no change of stability"),
        (lambda: step_thresholds.bisected_threshold(lambda eta: True, guess=0.0), "guess=0.0"),
    ],
)
def test_bad_input(run, message):
    with pytest.raises(ValueError, match=message):
        run()
