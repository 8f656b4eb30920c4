"""Token ids and padded batches for the torch peers.

In: texts. Out: lists of ids, and batches padded to their longest row. Trap: MiniLM's
`tokenizer.json` asks for padding to 128; `padding=False` switches that off.
"""

import torch
from torch.nn.utils.rnn import pad_sequence


def encoded(tokenizer, texts: list[str], max_length: int) -> list[list[int]]:
    """Return the ids of every text, cut to `max_length`, not padded."""
    return tokenizer(texts, truncation=True, max_length=max_length, padding=False)[
        "input_ids"
    ]


def padded(ids: list[torch.Tensor], pad_id: int) -> dict[str, torch.Tensor]:
    """Return model inputs for rows of ids, as long as the longest of them."""
    input_ids = pad_sequence(ids, batch_first=True, padding_value=pad_id)
    lengths = torch.tensor([len(row) for row in ids])
    places = torch.arange(input_ids.shape[1])
    mask = (places < lengths[:, None]).long()
    return {"input_ids": input_ids, "attention_mask": mask}


@torch.inference_mode()
def accuracy(model, tokenizer, rows, job) -> float:
    """Return the share of rows whose label the model gives the highest logit."""
    texts, labels = rows
    ids = [torch.tensor(row) for row in encoded(tokenizer, texts, job.max_length)]
    model.eval()
    right = 0
    for start in range(0, len(ids), job.batch_size):
        stop = start + job.batch_size
        logits = model(**padded(ids[start:stop], tokenizer.pad_token_id)).logits
        right += (logits.argmax(-1) == torch.tensor(labels[start:stop])).sum().item()
    return right / len(ids)
