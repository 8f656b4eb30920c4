"""One job, one file, one command; all of them in `COMMANDS`.

A command is a function that takes one frozen settings dataclass. Entries are names, so
that `kerasft --help` imports neither TensorFlow nor Arrow: (module, settings class);
the function has the name of the command, which is typed with dashes.
"""

from kerasft._registry import Registry

COMMANDS = Registry(
    "command",
    finetune=("kerasft.workflows.finetune", "FinetuneSettings"),
    pretrain=("kerasft.workflows.pretrain", "PretrainSettings"),
    search=("kerasft.workflows.search", "SearchSettings"),
    board=("kerasft.workflows.board", "BoardSettings"),
    evaluate=("kerasft.workflows.evaluate", "EvaluateSettings"),
    predict=("kerasft.workflows.predict", "PredictSettings"),
    export=("kerasft.workflows.export", "ExportSettings"),
    merge=("kerasft.workflows.merge", "MergeSettings"),
    inspect=("kerasft.workflows.inspect", "InspectSettings"),
    generate=("kerasft.workflows.generate", "GenerateSettings"),
    chat=("kerasft.workflows.chat", "ChatSettings"),
    launch=("kerasft.workflows.launch", "LaunchSettings"),
    train_tokenizer=("kerasft.workflows.train_tokenizer", "TrainTokenizerSettings"),
)
