"""Configs: nothing is lost on the way to a file and back, and no typing error gets through."""

import json

import pytest

from sftheory.core.errors import InputError
from sftheory.lm.config import Config
from sftheory.lm.learning_rates import steps_of
from sftheory.lm.optimizers import OPTIMIZERS
from sftheory.schedules import SCHEDULES, Cosine, Warmup

FULL = {
    "model": {"size": "1M", "context": 64, "z_loss": 1e-4},
    "data": {"source": "x.txt", "tokenizer": "bpe:4096"},
    "optimizer": {"name": "schedule_free_adamw", "lr": 1e-3, "betas": [0.9, 0.95], "C": 20},
    "schedule": {"name": "scaled", "inner": {"name": "cosine", "final": 0.1}, "factor": 0.5},
    "averages": {"names": ["uniform", "ema:0.99"], "every": 2},
    "run": {"steps": 1e2, "checkpoints": [10, 20]},
    "start": {"run": "abc", "step": 5},
}


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_config_survives_a_file(ending, tmp_path):
    config = Config.of(FULL)
    path = tmp_path / f"c.{ending}"
    path.write_text(config.to_toml() if ending == "toml" else config.to_json())
    assert Config.read(path) == config
    assert Config.read(path).id == config.id


def test_the_id_forgets_the_order_of_keys_and_the_way_of_writing():
    base = Config.of(FULL)
    turned = {k: dict(reversed(v.items())) for k, v in reversed(FULL.items())}
    turned["model"] = {"z_loss": 1e-4, "context": 64, "width": 128, "layers": 5, "heads": 2}
    assert Config.of(turned).id == base.id
    assert Config.of({**FULL, "schedule": {**FULL["schedule"], "warmup": 20.0}}).id == (
        Config.of({**FULL, "schedule": {**FULL["schedule"], "warmup": 20}}).id
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("run.seed", 1), ("optimizer.C", 21), ("model.width", 256), ("averages.every", 3)],
)
def test_every_change_gives_another_id(key, value):
    assert Config.of(FULL).replaced({key: value}).id != Config.of(FULL).id


def test_the_canonical_text_is_sorted_json_without_spaces():
    text = Config().to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_settings_are_toml_values_or_plain_words(tmp_path):
    (tmp_path / "c.toml").write_text('[optimizer]\nname = "adamw"\n')
    changes = ["run.steps=4e2", "optimizer.betas=[0.8, 0.9]", "schedule.name=cosine"]
    config = Config.read(tmp_path / "c.toml", [*changes, "run.deterministic=true"])
    assert (config.run.steps, config.run.deterministic) == (400, True)
    assert config.optimizer.options == {"betas": [0.8, 0.9]}
    assert config.schedule.name == "cosine"


def test_options_belong_to_the_name_that_they_were_given_with():
    config = Config.of(FULL).replaced({"optimizer.momentum": 0.8, "optimizer.name": "sgd"})
    assert config.optimizer.options == {"momentum": 0.8}
    assert config.optimizer.lr == 1e-3


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_registered_schedule_can_be_named(name):
    options = {
        "scaled": {"inner": {"name": "linear"}, "factor": 2.0},
        "join": {"parts": [[0.5, {"name": "constant"}], [0.5, {"name": "linear"}]]},
        "from_values": {"source": [0.5] * 10},
        "warmup": {"inner": {"name": "linear"}, "steps": 3},
    }.get(name, {})
    config = Config.of({"schedule": {"name": name, **options}, "run": {"steps": 10}})
    assert steps_of(config).shape == (10,)


def test_warm_up_is_the_registered_one():
    for warmup, schedule in ((3, Warmup(Cosine(), steps=3)), (0.2, Warmup(Cosine(), fraction=0.2))):
        sections = {"schedule": {"name": "cosine", "warmup": warmup}, "optimizer": {"lr": 0.5}}
        steps = steps_of(Config.of(sections).replaced({"run.steps": 10}))
        assert steps.tolist() == (0.5 * schedule(10)).tolist()


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"modle": {}}, "no section 'modle'; did you mean 'model'"),
        ({"model": {"widht": 3}}, "did you mean 'model.width'"),
        ({"model": {"size": "2M"}}, "There is no model size '2M'"),
        ({"model": {"width": 30, "heads": 4}}, "must be an even multiple of model.heads"),
        ({"model": 3}, r"Section \[model\] must hold keys"),
        ({"run": {"steps": "many"}}, "run.steps must be a whole number, but got 'many'"),
        ({"run": {"steps": 1.5}}, "run.steps must be a whole number"),
        ({"run": {"batch": 0}}, "run.batch must be a whole number >= 1"),
        ({"run": {"batch": 8, "micro": 3}}, "run.micro=3 must divide run.batch=8"),
        ({"run": {"device": "gpu"}}, "There is no run.device 'gpu'; did you mean 'cpu'"),
        ({"run": {"nonfinite": "stopp"}}, "did you mean 'stop'"),
        ({"run": {"parallel": "dpp"}}, "There is no run.parallel 'dpp'; did you mean 'ddp'"),
        ({"averages": {"names": ["uniform", "uniform"]}}, "repeats a name"),
        ({"data": {"holdout": 0}}, "leaves nothing to evaluate on"),
        ({"optimizer": {"lr": -1}}, "optimizer.lr must be a number >= 0"),
    ],
)
def test_a_config_that_cannot_be_is_told(sections, says):
    with pytest.raises(InputError, match=says):
        Config.of(sections)


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"schedule": {"name": "cosin"}}, "no schedule 'cosin'; did you mean 'cosine'"),
        ({"schedule": {"name": "cosine", "finl": 0}}, "did you mean 'final'"),
        ({"schedule": {"name": "wsd", "cooldown": 2}}, "WSD's cooldown must be a number in"),
        ({"schedule": {"name": "scaled"}}, "cannot be built"),
    ],
)
def test_a_schedule_that_cannot_be_is_told(sections, says):
    with pytest.raises(InputError, match=says):
        steps_of(Config.of(sections))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_option_that_an_optimizer_does_not_have_is_told(name):
    from sftheory.lm.optimizers import build
    from sftheory.lm.transformer import Transformer

    section = Config.of({"optimizer": {"name": name, "betaz": 3}}).optimizer
    model = Transformer(Config().model, 64)
    with pytest.raises(InputError, match=r"There is no option of .* 'betaz'"):
        build(section, model)


@pytest.mark.parametrize(
    ("content", "says"),
    [("[run", "is not valid"), (None, "Cannot read the config"), ("x = 1", "no section 'x'")],
)
def test_a_file_that_cannot_be_read_is_told(content, says, tmp_path):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=says):
        Config.read(path)


@pytest.mark.parametrize("change", ["run.steps", "=3", "steps=3"])
def test_a_setting_that_cannot_be_read_is_told(change, tmp_path):
    (tmp_path / "c.toml").write_text("")
    with pytest.raises(InputError):
        Config.read(tmp_path / "c.toml", [change])
