# SPDX-License-Identifier: Apache-2.0
"""Published systems as workloads for an 8-bit format: one file each, and a harness for all.

Imports `analysis.training`, and `files` for data that is kept beside a workload; only the command
line imports this. A module of this folder is a workload, called by its file's name: the harness, in
`harness`, lists the folder and knows none of them. A module holds a class ``System``, a
`harness.Workload`::

    from .harness import Metric, Outcome, Trainer, Workload, data, rules

    class System(Workload):
        title = "ACmix"                      # what the table calls it
        reference = "Pan et al., ... (arXiv 2111.14556)"
        simplified = "What was made smaller or left out, and why: whole sentences."
        loss_scale = 2.0**12                 # the recipe's constant backward loss scale
        metrics: ClassVar = {"accuracy": Metric("test accuracy", "%")}
        criterion = (rules.accuracy("accuracy"), rules.flushed())
        uncast: ClassVar = {"teacher": "frozen, computed once"}   # by default none but the heads

        def __init__(self, trainer: Trainer) -> None:
            # Data, models, optimizers, all from trainer.seed alone: equal for every format.
            # Draw all that is random before the format can matter, or from trainer.generator (of
            # torch, on the CPU) and trainer.rng (of NumPy). harness.data has digits and photos.
            self.trainer = trainer
            self.steps = trainer.choose(full=600, quick=60)
            self.model = trainer.convert(Net())       # casts but the last linear layer
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

        def step(self, k: int) -> None:
            # One step of training. minimise() scales, goes backwards, steps and zeroes gradients.
            self.trainer.minimise(self.loss(k), self.optimizer)

        def evaluate(self) -> Outcome:
            # In the format's casts, as the model is. Accuracies in percent.
            return Outcome({"accuracy": ...}, kept={"choices": array})

        @staticmethod
        def compare(kept, reference) -> dict[str, float]:
            # Metrics of a pair: what was kept of a run, and of the FP32 run of the same seed.
            return {"agreement": 100 * (kept["choices"] == reference["choices"]).mean()}

What makes a workload a fair one:

- every product in both directions is cast or named in ``uncast``: multiply by layers, or by
  `analysis.training.layers.MatMul` where a model multiplies two activations (attention). Models are
  attributes of the system, so that a layer's name is ``teacher.fc``; what no layer multiplies, such
  as a similarity in a loss, is called ``outside the layers``. The test
  `test_every_product_of_a_workload_is_cast` runs the audit over a step and the evaluation;
- losses are computed in FP32, of logits that the last linear layer, which is not cast, gives;
- gradients with respect to inputs come from ``trainer.gradient(loss, x)``, which scales as
  training does;
- learning rates are a function of the step, such as ``RATE * cosine(k, self.steps)``, handed to
  ``minimise``: an adaptive loss scale skips steps;
- one seed gives one result: no other source of randomness, one thread, no clock;
- time, one format, one thread: 10 to 25 s at full size, at most 4 s when quick;
- tests of the mechanism stand in ``tests/analysis/workloads/test_<name>.py``; the generic ones find
  the workload by themselves.

The criteria of `harness.rules` compare the runs of a format with those of FP32 by seed; a
criterion of a workload is met if all of its rules are.
"""
