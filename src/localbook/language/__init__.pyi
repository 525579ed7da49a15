from .llama import Shape, llama
from .tokens import Tokenizer
from .weights import LanguageModel, read, smollm2

__all__ = ["LanguageModel", "Shape", "Tokenizer", "llama", "read", "smollm2"]
