"""The picture of learning rates: largest rate against batch size, in the model and for a small network."""

import numpy as np

from problems.random_matrix_hessians import SpikedWigner
from problems.spiked_ensembles import extreme_draws
from theorylab.algorithms.random_matrix_laws import bulk_radius
from theorylab.algorithms.stability_chains import gaussian_pairs, lyapunov_threshold
from theorylab.algorithms.stability_rules import dynamic_rate, static_rate
from theorylab.pictures import COLOURS, Drawing, canvas, picture
from verify.random_matrix import PAPER
from verify.random_matrix.rates import largest_rates, log_log_slope, new_network
from verify.random_matrix.sgd import BATCHES, CURVATURE, DEVIATION, PARAMETERS
from verify.random_matrix.training import SHORT, TRAINED


@picture(PAPER)
def largest_learning_rates(rng: np.random.Generator) -> Drawing:
    r"""The largest learning rate against the batch size: two rules in the model, two optimisers on a network.

    Left, the model of `sgd-linear`, $P = 500$, $\lambda = 1$, $P\sigma^2 = 200$. Lines are formulas, marks are
    measured. Along one fixed batch the limit is $2/\lambda_1(H_{batch})$, which grows like $\sqrt B$ until a spike
    leaves the bulk at $B = 200$ (dotted); with a fresh batch in every step it is linear in $B$ up to about the same
    place. Both end at $2/\lambda$. Right, the largest rates at which a tanh network of 910 weights trains on digits in
    1000 steps, one run on a half-octave grid: heavy ball follows the linear rule, Adam rather the square root, and SGD
    without momentum gains ten times at $B = 2$ and next to nothing at $B = 128$. Thin lines have slopes 1 and 1/2.
    """
    figure, (left, right) = canvas(columns=2, height=3.6)
    fine = np.geomspace(BATCHES[0], BATCHES[-1], 200)
    radii = [bulk_radius(PARAMETERS, DEVIATION, b) for b in fine]
    static = [static_rate(CURVATURE, radius) for radius in radii]
    dynamic = [dynamic_rate(CURVATURE, PARAMETERS, DEVIATION, b) for b in fine]
    fixed, fresh = [], []
    for batch in BATCHES:
        drawn = extreme_draws(SpikedWigner(PARAMETERS, (CURVATURE,), DEVIATION, batch), 10, rng)
        fixed.append(2.0 / drawn.eigenvalues.mean())
        fresh.append(lyapunov_threshold(gaussian_pairs(CURVATURE, PARAMETERS, DEVIATION, float(batch), 10000, rng)))
    left.plot(fine, static, "--", color=COLOURS["second"], label="static rule")
    left.plot(BATCHES, fixed, "s", color=COLOURS["second"], markerfacecolor="none", label="one fixed batch")
    left.plot(fine, dynamic, "-", color=COLOURS["measured"], label="dynamic rule")
    left.plot(BATCHES, fresh, "o", color=COLOURS["measured"], label="fresh batches")
    left.axvline(200.0, color=COLOURS["control"], linestyle=":", linewidth=1.0)
    left.set(xscale="log", yscale="log", xlabel="batch size, B", ylabel="largest learning rate, η (λ = 1)")
    left.legend(loc="lower right")

    sizes = [2, 4, 8, 16, 32, 64, 128]
    network, seed = new_network(rng)
    slopes = {}
    styles = {"sgd": ("third", "^-.", "SGD"), "heavy ball": ("measured", "o-", "heavy ball, ρ = 0.9"),
              "adam": ("second", "s--", "Adam")}  # fmt: skip
    for name, (colour, style, label) in styles.items():
        rates = largest_rates(name, network, sizes, SHORT, TRAINED, seed)
        slopes[name] = log_log_slope(sizes, rates)
        right.plot(sizes, rates, style, color=COLOURS[colour], label=f"{label}, slope {slopes[name]:.2f}")
        if name != "sgd":
            power = 1.0 if name == "heavy ball" else 0.5
            guide = rates[0] * (np.array(sizes) / sizes[0]) ** power
            (line,) = right.plot(sizes, guide, color=COLOURS["bound"], linewidth=0.7)
    line.set_label("slopes 1 and 1/2")
    right.set(xscale="log", yscale="log", xlabel="batch size, B", ylabel="largest rate that trains, α")
    right.set_ylim(bottom=0.008)  # room for the legend
    right.legend(loc="lower right")
    return Drawing(
        figure,
        f"Model: from B = 1 to B = {BATCHES[-1]} the rate grows from {fresh[0]:.3g} to {fresh[-1]:.3g} with fresh "
        f"batches and from {fixed[0]:.3g} to {fixed[-1]:.3g} along one batch. Network: fitted slopes over B are "
        + ", ".join(f"{slope:.2f} for {name}" for name, slope in slopes.items())
        + ".",
    )
