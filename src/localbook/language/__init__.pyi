from .llama import Shape as Shape
from .llama import llama as llama
from .tokens import Tokenizer as Tokenizer
from .weights import LanguageModel as LanguageModel
from .weights import read as read
from .weights import smollm2 as smollm2
from .weights import smollm2_file as smollm2_file
