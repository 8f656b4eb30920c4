"""Answers to questions: loss, metrics, n-best, threshold, files; against torch."""

import json

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny_encoders import save_torch, torch_classifier
from tiny_tasks import save_tiny_bert, tiny_questions, tiny_rows
from tiny_tokenizers import save_tokenizer
from transformers import AutoModelForQuestionAnswering

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError
from kerasft.data.answering import question_examples
from kerasft.objectives.answers import score_answers
from kerasft.tasks.answer_decoding import best_spans

EAGER = {"run_eagerly": True}
NONE = {"answer": "", "start": 0, "end": 0}


def made(folder, **options):
    """A task whose weights are far from those it started with."""
    keras.utils.set_random_seed(1)
    task = kft.QuestionAnswerer.from_pretrained(folder, **options)
    for variable in task.trainable_variables:
        noise = keras.random.normal(variable.shape, stddev=0.3, seed=len(variable.path))
        variable.assign_add(noise)
    return task


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A checkpoint of ours with all weights random, torch's model of it, and a task."""
    folder = tmp_path_factory.mktemp("answers")
    save_tiny_bert(folder)
    task = made(folder, overlap=6)
    task.save_pretrained(folder)
    model, report = AutoModelForQuestionAnswering.from_pretrained(
        folder, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return folder, model.eval(), task


@pytest.fixture
def task(shared):
    """The task, always loaded anew."""
    return kft.QuestionAnswerer.from_pretrained(shared[0], overlap=6)


def run_torch(model, inputs, **options):
    with torch.no_grad():
        return model(
            **{name: torch.tensor(np.array(value)) for name, value in inputs.items()},
            **options,
        )


# --- loss and metrics


def test_the_loss_is_torchs_on_the_same_padded_batches(shared, task):
    rows = tiny_questions(12)
    data, total, count = task.dataset(rows, batch_size=7), 0.0, 0
    for inputs, labels in data:
        start, end = torch.tensor(np.asarray(labels)).long().unbind(-1)
        outputs = run_torch(shared[1], inputs, start_positions=start, end_positions=end)
        total += outputs.loss.item() * len(labels)
        count += len(labels)
    task.compile(**EAGER)
    told = task.evaluate(data, verbose=0, return_dict=True)
    assert count > len(rows)
    assert told["loss"] == pytest.approx(total / count, rel=1e-5)


def test_a_gradient_step_is_torchs(shared, task):
    rows = tiny_questions(3)
    data = task.dataset(rows, batch_size=64)
    ((inputs, labels),) = data
    for layer in task._flatten_layers():
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    task.compile(keras.optimizers.SGD(1.0), **EAGER)
    before = task.head.logits.kernel.numpy()
    task.fit(data, verbose=0)
    model = shared[1]
    model.zero_grad()
    start, end = torch.tensor(np.asarray(labels)).long().unbind(-1)
    tensors = {name: torch.tensor(np.asarray(value)) for name, value in inputs.items()}
    model(**tensors, start_positions=start, end_positions=end).loss.backward()
    gradient = model.qa_outputs.weight.grad.numpy().T
    np.testing.assert_allclose(
        before - task.head.logits.kernel.numpy(), gradient, atol=1e-5
    )


def test_smoothing_is_torchs_and_unscored_positions_do_not_count(task):
    logits = np.random.default_rng(0).normal(size=(5, 9, 2)).astype("float32")
    labels = np.array([[0, 0], [3, 4], [-100, -100], [8, 8], [2, 7]])
    task.compile(label_smoothing=0.2)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits).transpose(1, 2).reshape(10, 9),
        torch.tensor(labels).reshape(10),
        label_smoothing=0.2,
    )
    assert float(task.item_loss(labels, logits)) == pytest.approx(float(expected))
    with pytest.raises(SettingsError, match="task's own loss"):
        task.compile(loss="mse", focal_gamma=2)


def test_accuracies_are_shares_of_windows_and_padding_never_wins(task):
    rows = tiny_questions(12)
    padding = {"input_ids": np.zeros((1, 40), "int32")}  # Same ids, one row longer.
    right = []
    task.compile(**EAGER)
    for inputs, labels in task.dataset(rows, batch_size=7):
        logits = task.predict_on_batch(inputs)
        real = np.asarray(inputs["attention_mask"])[..., None] == 1
        best = np.where(real, logits, -np.inf).argmax(1)
        right.append(best == np.asarray(labels))
    right = np.concatenate(right)
    told = task.evaluate(task.dataset(rows, 7), verbose=0, return_dict=True)
    assert told["start_accuracy"] == pytest.approx(right[:, 0].mean())
    assert told["end_accuracy"] == pytest.approx(right[:, 1].mean())
    assert told["both_accuracy"] == pytest.approx(right.all(1).mean())
    # Logits of padding that would win if it were not for the mask.
    mask = np.ones((1, 40), "int32")
    mask[:, 20:] = 0
    loud = np.zeros((1, 40, 2), "float32")
    loud[:, 3], loud[:, 30] = 1.0, 9.0
    inputs = padding | {"attention_mask": mask}
    task.reset_metrics()
    told = task.compute_metrics(inputs, np.array([[3, 3]]), keras.ops.array(loud))
    assert told["both_accuracy"] == 1


def test_weights_of_rows_weigh_all_their_windows(task):
    rows = tiny_questions(6)
    task.compile(**EAGER)
    weighted = task.dataset(rows, weights=[1, 0, 0, 0, 0, 1])
    alone = task.dataset(rows.select([0, 5]))
    told = [task.evaluate(d, verbose=0, return_dict=True) for d in (weighted, alone)]
    assert told[0] == pytest.approx(told[1], rel=1e-4)


# --- answers


def torch_answers(model, rows, tokenizer, max_answer_length):
    """Brute force over torch's logits: of each row {(start, end): score}, and none."""
    backend = type(tokenizer.backend).from_str(tokenizer.backend.to_str())
    backend.encode_special_tokens = True
    backend.enable_truncation(tokenizer.max_length, stride=6, strategy="only_second")
    for i in range(len(rows)):
        first = backend.encode(rows[i]["question"], rows[i]["context"])
        found, none = {}, np.inf
        for window in [first, *first.overflowing]:
            inputs = {
                "input_ids": [window.ids],
                "token_type_ids": [window.type_ids],
                "attention_mask": [window.attention_mask],
            }
            outputs = run_torch(model, inputs)
            starts, ends = outputs.start_logits[0], outputs.end_logits[0]
            none = min(none, float(starts[0] + ends[0]))
            mine = [k for k, side in enumerate(window.sequence_ids) if side == 1]
            for k in mine:
                for m in range(k, min(k + max_answer_length, mine[-1] + 1)):
                    span = window.offsets[k][0], window.offsets[m][1]
                    score = float(starts[k] + ends[m])
                    found[span] = max(score, found.get(span, score))
        yield found, none


def test_answers_are_those_of_brute_force_over_torchs_logits(shared, task):
    rows = tiny_questions(4)
    task.max_answer_length = 5
    told = task.answer_rows(rows, batch_size=5, n_best=4)
    candidates = task.predict_rows(rows)
    reference = list(torch_answers(shared[1], rows, task.tokenizer, 5))
    for i, (found, none) in enumerate(reference):
        best = sorted(found, key=found.get, reverse=True)[:20]
        parts = np.exp([*(found[span] for span in best), none])
        chances = parts / parts.sum()
        context = rows[i]["context"]
        for rank, (start, end) in enumerate(best[:4]):
            assert told[i][rank] == {
                "answer": context[start:end],
                "start": start,
                "end": end,
                "score": pytest.approx(chances[rank], rel=1e-3),
            }
        assert candidates[i].none == pytest.approx(none, abs=1e-4)
        assert candidates[i].chances[-1] == pytest.approx(chances[-1], rel=1e-3)
    for doubt in (-1.0, 0.0, 1.0):
        task.no_answer_threshold = doubt
        told = task.answer_rows(rows)
        for i, (found, none) in enumerate(reference):
            assert (told[i]["answer"] == "") == (none - max(found.values()) > doubt)


logits = arrays("float32", st.integers(0, 12), elements=st.integers(-3, 3))


@settings(max_examples=300, deadline=None)
@given(logits, st.integers(1, 14), st.integers(1, 30), st.randoms())
def test_the_best_spans_are_those_of_enumeration(starts, longest, count, random):
    ends = np.array(random.sample(list(starts), len(starts)), "float32")
    ends[[i for i in range(len(ends)) if random.random() < 0.2]] = -np.inf
    every = [
        (i, j, starts[i] + ends[j])
        for i in range(len(starts))
        for j in range(i, min(len(starts), i + longest))
        if ends[j] > -np.inf
    ]
    every.sort(key=lambda span: -span[2])  # Stable: the earlier, then the shorter.
    assert best_spans(starts, ends, longest, count) == every[:count]


def test_an_answer_is_cut_from_the_text_as_it_was_written(task):
    context = "Ünïted  FILMS\t(ﬁlm) — a «very» good 日本 film. " * 4
    (told,) = task.predict_text(
        [{"question": "A film?", "context": context}], n_best=20
    )
    assert len({(one["start"], one["end"]) for one in told}) == len(told) == 20
    for one in told:
        assert one["answer"] == context[one["start"] : one["end"]] != ""
        assert one["answer"] == one["answer"].strip()
    assert [one["score"] for one in told] == sorted(
        (one["score"] for one in told), reverse=True
    )


def test_where_there_is_no_answer_it_is_empty(task):
    asked = [{"question": "good?", "context": "a good film"}]
    (best,) = task.predict_text(asked)
    task.no_answer_threshold = -1e6
    (told,) = task.predict_text(asked)
    assert told | NONE == told and 0 < told["score"] < 1
    (ranked,) = task.predict_text(asked, n_best=50)
    assert ranked[:2] == [told, best]
    assert sum(one["score"] for one in ranked) == pytest.approx(1)
    task.no_answer_threshold = 1e6
    assert task.predict_text(asked) == [best]
    for threshold in (None, 0.0):
        task.no_answer_threshold = threshold
        nothing = [{"question": "good?", "context": " "}] * 2
        assert task.predict_text(nothing) == [NONE | {"score": 1.0}] * 2
    assert task.predict_text([]) == []


@pytest.mark.parametrize(
    "texts, error, message",
    [
        ({"question": "a", "context": "b"}, SettingsError, "takes a list"),
        ("a", SettingsError, "takes a list"),
        ([{"question": "a"}], DataError, r"questions\[0\].*key 'context'"),
        ([{"question": "a", "context": 7}], DataError, "7 in column 'context'"),
        (["a film"], DataError, "expected a dict"),
    ],
)
def test_questions_of_another_form_are_refused(task, texts, error, message):
    with pytest.raises(error, match=message):
        task.predict_text(texts)


def test_settings_that_leave_no_answer_are_refused(shared, task):
    with pytest.raises(SettingsError, match="max_answer_length is 0"):
        kft.QuestionAnswerer.from_pretrained(shared[0], max_answer_length=0)
    with pytest.raises(SettingsError, match="n_best is 0"):
        task.answer_rows(tiny_questions(2), n_best=0)
    with pytest.raises(DataError, match="read_squad"):
        task.dataset(tiny_rows(3))
    bare = kft.from_questions(["a"], ["a film"])
    with pytest.raises(SettingsError, match="need labels"):
        task.dataset(bare, training=True)
    for method in (task.score_rows, task.tune_threshold):
        with pytest.raises(DataError, match="need the right ones"):
            method(bare)


# --- scores and threshold


def test_scores_are_those_of_the_definition_with_a_row_for_each_question(task):
    rows = tiny_questions(10)
    means, table = task.score_rows(rows, batch_size=4)
    answers = [one["answer"] for one in task.answer_rows(rows)]
    expected = score_answers(answers, rows.accepted)
    assert means == expected.means()
    assert {"exact", "f1", "answerable_f1", "empty_exact"} < set(means)
    assert [row["answer"] for row in table] == answers
    assert [row["f1"] for row in table] == expected.f1.tolist()
    assert table[3]["where"] == "questions[3]"
    assert table[3]["accepted"] == rows.accepted[3]
    json.dumps(table)


def test_the_tuned_threshold_is_the_best_and_is_kept(task, tmp_path):
    rows = tiny_questions(20, empty_every=2)
    told = task.tune_threshold(rows)
    tuned = task.no_answer_threshold
    assert told["threshold"] == tuned
    means, _ = task.score_rows(rows)
    assert (means["exact"], means["f1"]) == pytest.approx((told["exact"], told["f1"]))
    doubts = [one.doubts[0] for one in task.predict_rows(rows)]
    for threshold in (None, -1e9, *doubts[::7]):
        task.no_answer_threshold = threshold
        assert task.score_rows(rows)[0]["f1"] <= told["f1"] + 1e-9
    task.no_answer_threshold = tuned
    task.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["no_answer_threshold"] == tuned
    again = kft.QuestionAnswerer.from_pretrained(tmp_path, overlap=6)
    assert again.no_answer_threshold == tuned
    assert again.score_rows(rows)[0] == means
    fresh = kft.QuestionAnswerer.from_pretrained(tmp_path, new_head=True)
    assert fresh.no_answer_threshold is None and fresh.fresh_weights
    AutoModelForQuestionAnswering.from_pretrained(tmp_path)
    with pytest.raises(DataError, match="some must have none"):
        task.tune_threshold(tiny_questions(3, empty_every=0))
    config["no_answer_threshold"] = "0"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="no_answer_threshold is '0'"):
        kft.QuestionAnswerer.from_pretrained(tmp_path)


def test_a_classifiers_checkpoint_gets_a_new_head_that_torch_loads(tmp_path):
    save_tokenizer(save_torch(torch_classifier("bert"), tmp_path / "three labels"))
    task = made(tmp_path / "three labels")
    assert set(task.fresh_weights) == {"logits/kernel", "logits/bias"}
    task.save_pretrained(tmp_path / "saved")
    model, report = AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    (inputs,) = task.dataset(kft.from_questions(["a"], ["a film"]))
    outputs = run_torch(model.eval(), inputs)
    theirs = torch.stack([outputs.start_logits, outputs.end_logits], -1)
    np.testing.assert_allclose(task(inputs), theirs, atol=1e-5)


def test_a_tiny_model_learns_fifty_answers_in_texts_longer_than_its_window(tmp_path):
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    keras.utils.set_random_seed(0)
    save_tiny_bert(tmp_path, initializer_range=0.1, **still)
    task = kft.QuestionAnswerer.from_pretrained(tmp_path)
    rows = tiny_questions(60, empty_every=6)
    answerable = [i for i, some in enumerate(rows.accepted) if some]
    assert len(answerable) == 50
    found = question_examples(rows, task.tokenizer)
    assert (np.bincount(found.rows) > 1).all()
    data = task.dataset(rows, 16, training=True, max_shapes=1)
    task.compile(kft.adamw(5e-3, total_steps=45 * len(data), warmup=0.1))
    task.fit(data, epochs=45, verbose=0)
    assert task.score_rows(rows.select(answerable))[0] == {"exact": 1, "f1": 1}
    assert task.tune_threshold(rows)["exact"] == 1
    means, _ = task.score_rows(rows)
    assert means["answerable_exact"] == means["empty_exact"] == 1
