"""Fine-tune BERT and GPT in Keras 3 on TensorFlow, exactly as the reference would.

Names load on first use, so `import kerasft` takes no time: a checkpoint goes in,
`fit` trains, and a SavedModel that takes raw strings comes out.
"""

import importlib
import os
import sys

if "tensorflow" not in sys.modules:
    # TensorFlow reads this once, when it loads. Without AVX-512 it leaves its oneDNN
    # kernels off; with them a step on an AVX2 CPU took a fifth less time.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

# The public names, in the order of the data, and where each is defined.
_PLACES = {
    "read_csv": "data.corpus",
    "read_tsv": "data.corpus",
    "read_jsonl": "data.corpus",
    "read_parquet": "data.columnar",
    "read_tfds": "data.columnar",
    "from_pandas": "data.columnar",
    "from_datasets": "data.columnar",
    "from_lists": "data.corpus",
    "from_rows": "data.corpus",
    "read_documents": "data.document_files",
    "read_conll": "data.tag_readers",
    "read_conllu": "data.tag_readers",
    "read_tagged_jsonl": "data.tag_readers",
    "from_tags": "data.tag_readers",
    "from_spans": "data.tag_readers",
    "read_squad": "data.question_readers",
    "read_questions_jsonl": "data.question_readers",
    "from_questions": "data.question_readers",
    "read_choices_jsonl": "data.choice_rows",
    "from_choices": "data.choice_rows",
    "read_relations_jsonl": "data.relation_rows",
    "from_relations": "data.relation_rows",
    "read_triples_jsonl": "data.triple_rows",
    "from_triples": "data.triple_rows",
    "read_conversations": "data.conversation_rows",
    "from_conversations": "data.conversation_rows",
    "PromptTemplate": "data.prompt_template",
    "class_pairs": "data.class_pairs",
    "split": "data.splits",
    "folds": "data.folds",
    "duplicates_between": "data.splits",
    "balanced_weights": "data.imbalance",
    "Backbone": "models",
    "TextClassifier": "tasks",
    "TokenClassifier": "tasks",
    "QuestionAnswerer": "tasks",
    "MaskedLM": "tasks",
    "CausalLM": "tasks",
    "TextEmbedder": "tasks",
    "MultipleChoice": "tasks",
    "Pretraining": "tasks",
    "FewShotClassifier": "tasks",
    "ZeroShotClassifier": "tasks.zero_shot",
    "ReplacedTokenDetection": "tasks",
    "RelationExtractor": "tasks",
    "TripleExtractor": "tasks",
    "Ensemble": "tasks.ensemble",
    "LoRA": "peft",
    "DoRA": "peft",
    "AdaLoRA": "peft",
    "IA3": "peft",
    "BitFit": "peft",
    "PrefixTuning": "peft",
    "PTuningV2": "peft",
    "PromptTuning": "peft",
    "PTuning": "peft",
    "Houlsby": "peft",
    "Pfeiffer": "peft",
    "Parallel": "peft",
    "AdamW": "objectives.optimizer",
    "adamw": "objectives.optimizer",
    "WarmupSchedule": "objectives.schedule",
    "strategy": "training.devices",
    "TensorBoard": "training.tensorboard",
    "BestCheckpoint": "training.callbacks",
    "StopOnNaN": "training.callbacks",
    "Resume": "training.resume",
    "TextSamples": "training.text_samples",
    "RowScores": "training.row_scores",
    "write_projector": "training.projector",
    "report": "training.report",
    "report_on": "training.report",
    "finetune": "workflows.finetune",
    "FinetuneSettings": "workflows.finetune",
    "pretrain": "workflows.pretrain",
    "PretrainSettings": "workflows.pretrain",
    "search": "workflows.search",
    "SearchSettings": "workflows.search",
    "board": "workflows.board",
    "BoardSettings": "workflows.board",
    "evaluate": "workflows.evaluate",
    "EvaluateSettings": "workflows.evaluate",
    "predict": "workflows.predict",
    "PredictSettings": "workflows.predict",
    "export": "workflows.export",
    "ExportSettings": "workflows.export",
    "merge": "workflows.merge",
    "MergeSettings": "workflows.merge",
    "inspect": "workflows.inspect",
    "InspectSettings": "workflows.inspect",
    "generate": "workflows.generate",
    "GenerateSettings": "workflows.generate",
    "chat": "workflows.chat",
    "ChatSettings": "workflows.chat",
    "launch": "workflows.launch",
    "LaunchSettings": "workflows.launch",
    "train_tokenizer": "workflows.train_tokenizer",
    "TrainTokenizerSettings": "workflows.train_tokenizer",
    "KerasftError": "_errors",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(f"module 'kerasft' has no attribute '{name}'")
    module = importlib.import_module(f"kerasft.{_PLACES[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
