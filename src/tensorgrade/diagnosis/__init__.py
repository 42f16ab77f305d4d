"""Diagnosis: the most specific true explanation of a wrong result, as a code and a sentence in two languages.

Stands alone: it imports torch and nothing else of the package, and takes plain facts. What is offered:

- `difference.diagnose`: of tensors, numbers, texts and containers, from what was got and what was expected;
- `states`: of gradients, memory, devices and replicas, from facts about them;
- `raising.diagnose_error`: of an exception, from its types and its text;
- `sentences.SENTENCES`: the sentences by code. This module needs no torch.

Promise: a sentence is true of the data, says nothing of expected values or of inputs but the kind of difference, and
does not blame. A rule fires only if it explains the whole difference; otherwise the sentence says what differs.
"""
