"""Train a residual network on scikit-learn's digits, on `mps` or on `cpu`.

    python examples/digits/train.py                  # on MLX, through the plugin
    python examples/digits/train.py --platform cpu   # the same on XLA:CPU

With the default settings the exit status is 1 when the test accuracy is under
0.97. To show that two platforms agree:

    python examples/digits/train.py --platform cpu --steps 20 --losses cpu.json
    python examples/digits/train.py --steps 20 --check-against cpu.json --tolerance 0.01
"""

import argparse
import functools
import json
import statistics
import sys
import time

import numpy as np

ACCURACY_BAR = 0.97
COMPARED_LOSSES = 20
DEFAULT_EPOCHS = 10
TEST_FRACTION = 0.2
WARM_UP_STEPS = 3  # the first steps compile; they are kept out of the step time


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platform", choices=("mps", "cpu"), default="mps")
    parser.add_argument("--epochs", type=int, default=DEFAULT_EPOCHS)
    parser.add_argument("--steps", type=int, help="stop after this many steps")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--losses", metavar="FILE", help=f"write the first {COMPARED_LOSSES} losses as JSON")
    parser.add_argument("--check-against", metavar="FILE", help="compare the first losses with those of FILE")
    parser.add_argument("--tolerance", type=float, default=0.01, help="largest relative difference of a loss")
    arguments = parser.parse_args()
    if arguments.epochs < 1 or (arguments.steps is not None and arguments.steps < 1):
        parser.error("--epochs and --steps must be at least 1")
    return arguments


def load_data(seed):
    """((images, labels) for training, the same for testing), images in [0, 1]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[..., None]
    labels = digits.target.astype(np.int32)
    order = np.random.default_rng(seed).permutation(len(images))
    split = round(len(images) * TEST_FRACTION)
    test, training = order[:split], order[split:]
    return (images[training], labels[training]), (images[test], labels[test])


def show_progress(done, total, text):
    """One line on the terminal; nothing when standard error is a file."""
    if not sys.stderr.isatty():
        return
    width = 30
    filled = width * done // total
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (width - filled)}] {done}/{total} {text}\033[K")
    sys.stderr.write("\n" if done == total else "")
    sys.stderr.flush()


def compare_losses(losses, path, tolerance):
    """True when the first losses equal those in the file within the tolerance."""
    with open(path) as file:
        expected = json.load(file)
    theirs = expected["losses"]
    count = min(COMPARED_LOSSES, len(losses))
    if len(theirs) < count or count == 0:
        print(f"{path} holds {len(theirs)} losses, {count} are needed")
        return False
    differences = [abs(a - b) / max(abs(b), 1e-12) for a, b in zip(losses[:count], theirs)]
    worst = max(differences)
    agrees = bool(np.isfinite(losses[:count]).all()) and worst <= tolerance
    print(
        f"first {count} losses against {expected['platform']}: largest relative difference {worst:.2e}, "
        f"allowed {tolerance:g}: {'agree' if agrees else 'DIFFER'}"
    )
    return agrees


def main():
    arguments = parse_arguments()

    import jax

    # `cpu` stays available beside the device, as in an installation with JAX_PLATFORMS unset.
    jax.config.update("jax_platforms", "cpu" if arguments.platform == "cpu" else "mps,cpu")

    import optax

    import model

    device = jax.devices()[0]
    print(f"device: {device.platform} ({device.device_kind}), jax {jax.__version__}")

    (images, labels), (test_images, test_labels) = load_data(arguments.seed)
    parameters, state = jax.jit(model.initialise)(jax.random.key(arguments.seed))
    print(
        f"{model.parameter_count(parameters):,} parameters, "
        f"{len(images)} training images, {len(test_images)} test images"
    )

    steps_per_epoch = len(images) // arguments.batch_size
    scheduled_steps = arguments.epochs * steps_per_epoch
    total_steps = min(arguments.steps or scheduled_steps, scheduled_steps)
    # The schedule does not depend on --steps: a shortened run is a prefix of the full one.
    # One epoch of warm-up: Adam's first updates are close to the sign of the gradient, so at the
    # full rate rounding differences between platforms would grow tenfold in the first 20 steps.
    schedule = optax.warmup_cosine_decay_schedule(
        0.02 * arguments.learning_rate, arguments.learning_rate, steps_per_epoch, scheduled_steps
    )
    optimiser = optax.adam(schedule)
    optimiser_state = jax.jit(optimiser.init)(parameters)

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def train_step(parameters, state, optimiser_state, images, labels):
        (loss, state), gradients = jax.value_and_grad(model.loss, has_aux=True)(parameters, state, images, labels)
        updates, optimiser_state = optimiser.update(gradients, optimiser_state, parameters)
        return optax.apply_updates(parameters, updates), state, optimiser_state, loss

    @jax.jit
    def predict(parameters, state, images):
        return model.apply(parameters, state, images, training=False)[0].argmax(axis=-1)

    shuffle = np.random.default_rng(arguments.seed + 1)
    losses, step_times = [], []
    started = time.perf_counter()
    for epoch in range(arguments.epochs):
        order = shuffle.permutation(len(images))
        epoch_start = len(losses)
        for step in range(min(steps_per_epoch, total_steps - epoch_start)):
            batch = order[step * arguments.batch_size : (step + 1) * arguments.batch_size]
            before = time.perf_counter()
            parameters, state, optimiser_state, loss = train_step(
                parameters, state, optimiser_state, images[batch], labels[batch]
            )
            losses.append(float(loss))
            step_times.append(time.perf_counter() - before)
            show_progress(len(losses), total_steps, f"epoch {epoch + 1} loss {losses[-1]:.4f}")
        epoch_loss = float(np.mean(losses[epoch_start:]))
        line = f"epoch {epoch + 1:3}: loss {epoch_loss:.4f}"
        if sys.stderr.isatty() and len(losses) < total_steps:
            line = "\r\033[K" + line
        print(line, flush=True)
        if len(losses) == total_steps:
            break
    elapsed = time.perf_counter() - started

    predictions = np.asarray(predict(parameters, state, test_images))
    accuracy = float(np.mean(predictions == test_labels))
    print(f"test accuracy: {accuracy:.4f}")
    steady = step_times[WARM_UP_STEPS:] or step_times
    print(f"median step time: {1e3 * statistics.median(steady):.1f} ms (batch {arguments.batch_size})")
    print(f"trained {len(losses)} steps in {elapsed:.1f} s")

    passed = bool(np.isfinite(losses).all())
    if not passed:
        print("a loss is not finite")
    if arguments.losses:
        with open(arguments.losses, "w") as file:
            json.dump({"platform": device.platform, "losses": losses[:COMPARED_LOSSES]}, file, indent=1)
    if arguments.check_against:
        passed &= compare_losses(losses, arguments.check_against, arguments.tolerance)
    if total_steps == DEFAULT_EPOCHS * steps_per_epoch and accuracy < ACCURACY_BAR:
        print(f"test accuracy {accuracy:.4f} is under {ACCURACY_BAR}")
        passed = False
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
