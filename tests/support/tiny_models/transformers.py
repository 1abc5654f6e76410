"""The diffusion transformers: names and shapes, as small as the host's detection lets them be."""

from .layouts import Layout, layout_of, narrowed

LTX = {
    "num_attention_heads": 2,
    "attention_head_dim": 64,
    "cross_attention_dim": 128,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 32,
    "audio_cross_attention_dim": 64,
    "caption_channels": 768,
    "connector_num_attention_heads": 6,
    "connector_num_layers": 1,
}
"""What the host reads of LTX-2 in the metadata of its file; the caption is a CLIP-L's."""
ONE_BLOCK = {"hidden_size": 128, "num_heads": 1, "depth": 1, "depth_single_blocks": 1}


def sd3(prefix: str) -> Layout:
    """SD3.5 medium's kind (attention twice in the first blocks, normed queries); depth 2 is width 128."""
    from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT

    embedder = {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 128}}
    sizes = {"input_size": None, "in_channels": 16, "depth": 2, "adm_in_channels": 2048, "num_patches": 384**2}
    fixed = {"pos_embed_max_size": 384, "qk_norm": "rms", "x_block_self_attn_layers": [0]}
    return layout_of(MMDiT, prefix, **sizes, **fixed, context_embedder_config=embedder)


def flux(prefix: str, guidance: bool) -> Layout:
    """FLUX; the distilled guidance tells dev from schnell."""
    from comfy.ldm.flux.model import Flux

    sizes = {"in_channels": 16, "out_channels": 16, "vec_in_dim": 768, "context_in_dim": 4096}
    fixed = {"mlp_ratio": 4.0, "axes_dim": [16, 56, 56], "theta": 10000, "patch_size": 2, "qkv_bias": True}
    return layout_of(Flux, prefix, **ONE_BLOCK, **sizes, **fixed, txt_ids_dims=[], guidance_embed=guidance)


def flux2(guidance: bool) -> Layout:
    """FLUX.2 for the text of a CLIP-L; the distilled guidance tells dev from klein."""
    from comfy.ldm.flux.model import Flux

    sizes = {"in_channels": 128, "out_channels": 128, "vec_in_dim": None, "context_in_dim": 768}
    fixed = {"mlp_ratio": 3.0, "axes_dim": [32] * 4, "theta": 2000, "patch_size": 1, "qkv_bias": False}
    kind = {"global_modulation": True, "mlp_silu_act": True, "ops_bias": False, "txt_ids_dims": [3]}
    return layout_of(Flux, "", **ONE_BLOCK, **sizes, **fixed, **kind, guidance_embed=guidance)


def chroma() -> Layout:
    """Chroma: the network of its modulations makes the width a constant, and is most of it."""
    from comfy.ldm.chroma.model import Chroma

    sizes = {"hidden_size": 3072, "num_heads": 24, "depth": 1, "depth_single_blocks": 0, "context_in_dim": 4096}
    fixed = {"mlp_ratio": 4.0, "axes_dim": [16, 56, 56], "theta": 10000, "patch_size": 2, "qkv_bias": True}
    modulations = {"in_dim": 64, "hidden_dim": 5120, "out_dim": 3072, "n_layers": 5, "vec_in_dim": None}
    return layout_of(Chroma, "", **sizes, **fixed, **modulations, in_channels=64, out_channels=64, txt_ids_dims=[])


def qwen_image() -> Layout:
    """Qwen-Image with one block; its width is a constant."""
    from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel

    return layout_of(QwenImageTransformer2DModel, "", num_layers=1)


def z_image() -> Layout:
    """Z-Image with one block beside its refiners, for the text of a CLIP-L; the width is a constant."""
    from comfy.ldm.lumina.model import NextDiT

    sizes = {"in_channels": 16, "dim": 3840, "n_layers": 1, "n_heads": 30, "n_kv_heads": 30, "cap_feat_dim": 768}
    fixed = {"axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512], "rope_theta": 256.0, "qk_norm": True}
    kind = {"ffn_dim_multiplier": 8 / 3, "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32}
    layout = layout_of(NextDiT, "", **sizes, **fixed, **kind)
    return narrowed(layout, rows=r"feed_forward\.w[13]\.", columns=r"feed_forward\.w2\.", width=8)


def wan(channels: int = 16) -> Layout:
    """Wan 2.1, or an expert of 2.2, with one block of one head; 36 channels for pictures to start from."""
    from comfy.ldm.wan.model import WanModel

    return layout_of(WanModel, "", dim=128, ffn_dim=256, num_heads=1, num_layers=1, in_dim=channels)


def hunyuan_video() -> Layout:
    """HunyuanVideo 1.5: 32 channels, as many of a picture to start from and its mask."""
    from comfy.ldm.hunyuan_video.model import HunyuanVideo

    sizes = {"in_channels": 65, "out_channels": 32, "vec_in_dim": None, "context_in_dim": 3584}
    fixed = {"mlp_ratio": 4.0, "axes_dim": [16, 56, 56], "theta": 256, "patch_size": [1, 1, 1], "qkv_bias": True}
    kind = {"guidance_embed": False, "byt5": True, "vision_in_dim": 1152, "use_cond_type_embedding": True}
    return layout_of(HunyuanVideo, "", **ONE_BLOCK, **sizes, **fixed, **kind, meanflow=False, meanflow_sum=True)


def ltx_av(prefix: str) -> Layout:
    """LTX-2 with one block for both video and sound."""
    from comfy.ldm.lightricks.av_model import LTXAVModel

    return layout_of(LTXAVModel, prefix, num_layers=1, **LTX)


def ace_step() -> Layout:
    """ACE-Step 1.5 with one block; the width and the depth of its encoders are constants."""
    from comfy.ldm.ace.ace_step15 import AceStepConditionGenerationModel

    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_heads": 8, "num_dit_layers": 1}
    encoder = {"encoder_hidden_size": 2048, "encoder_intermediate_size": 8, "encoder_num_heads": 8}
    # on the CPU, because the host reads values of a codebook
    layout = layout_of(AceStepConditionGenerationModel, "", device="cpu", **sizes, **encoder)
    return narrowed(layout, rows=r"tokenizer\..*(gate|up)_proj", columns=r"tokenizer\..*down_proj", width=8)
