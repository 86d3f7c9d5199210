"""The vision transformer: pictures cut into patches, then layers like BERT's with the norms first.

Positions are learned, one for each patch and one for the class token (Dosovitskiy et al. 2021, arXiv
2010.11929). The names are those of transformers 5, where version 4 said `query`, `key` and `value`.
"""

from lora_core.models.config import HIDDEN_WIDTH, LAYERS, WIDTH, Fields, Range
from lora_core.models.families.heads import Head, top
from lora_core.models.parts import Family, Kind, Part, linear, norm

A, M, E = Family.ATTENTION, Family.MLP, Family.EMBEDDING
PIXELS: Range = (1, 16_384)


def vit(fields: Fields, head: Head) -> list[Part]:
    """ViT for square pictures of `image_size` pixels a side."""
    root = "" if head is Head.NONE else "vit."
    hidden = fields.integer("hidden_size", WIDTH)
    layers = fields.integer("num_hidden_layers", LAYERS)
    inner = fields.integer("intermediate_size", HIDDEN_WIDTH)
    fields.divided(hidden)
    side, patch = fields.integer("image_size", PIXELS, 224), fields.integer("patch_size", PIXELS, 16)
    if patch > side:
        raise ValueError(f"patch_size: {patch}, expected at most the image_size {side}")
    pixels = patch * patch * fields.integer("num_channels", (1, 1024), 3)
    bias = fields.flag("qkv_bias", True)
    layer = f"{root}layers.*."
    roles = {"q_proj": "q", "k_proj": "k", "v_proj": "v"}
    patches = f"{root}embeddings.patch_embeddings.projection"
    pooled = fields.integer("pooler_output_size", WIDTH, hidden)
    pooler = [linear("pooler.dense", hidden, pooled, 1, Family.OTHER, bias=True)] if head is Head.NONE else []
    return [
        Part(f"{root}embeddings.cls_token", Kind.PARAMETER, E, 1, hidden),
        Part(f"{root}embeddings.position_embeddings", Kind.PARAMETER, E, (side // patch) ** 2 + 1, hidden),
        Part(patches, Kind.CONVOLUTION, E, pixels, hidden, 1, hidden),
        *(
            linear(f"{layer}attention.{name}", hidden, hidden, layers, A, bias=bias, role=role)
            for name, role in roles.items()
        ),
        linear(f"{layer}attention.o_proj", hidden, hidden, layers, A, bias=True),
        linear(f"{layer}mlp.fc1", hidden, inner, layers, M, bias=True),
        linear(f"{layer}mlp.fc2", inner, hidden, layers, M, bias=True),
        norm(f"{layer}layernorm_before", hidden, layers, bias=True),
        norm(f"{layer}layernorm_after", hidden, layers, bias=True),
        norm(f"{root}layernorm", hidden, bias=True),
        *pooler,
        *top(fields, head, hidden, sequence="classifier", tokens="classifier", sequence_bias=True),
    ]
