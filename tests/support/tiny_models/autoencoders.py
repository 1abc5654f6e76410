"""The autoencoders: names and shapes."""

from typing import Any

from .layouts import Layout, built

LTX_VIDEO: dict[str, Any] = {
    "dims": 3,
    "latent_channels": 128,
    "patch_size": 4,
    "norm_layer": "pixel_norm",
    "latent_log_var": "uniform",
    "encoder_base_channels": 8,
    "decoder_base_channels": 8,
    "encoder_blocks": [["compress_all", {}], ["compress_all", {}], ["compress_all", {}], ["res_x", {"num_layers": 1}]],
    "decoder_blocks": [["compress_all", {}], ["compress_all", {}], ["compress_all", {}], ["res_x", {"num_layers": 1}]],
    "causal_decoder": True,
}
LTX_AUDIO: dict[str, Any] = {
    "model": {
        "params": {
            "sampling_rate": 16000,
            "ddconfig": {
                **{"double_z": True, "mel_bins": 64, "z_channels": 8, "resolution": 256, "in_channels": 2, "out_ch": 2},
                **{"ch": 8, "ch_mult": [1, 2, 4], "num_res_blocks": 1, "attn_resolutions": [], "norm_type": "pixel"},
                **{"causality_axis": "height", "mid_block_add_attention": False},
            },
        }
    },
    "preprocessing": {"stft": {"filter_length": 1024, "hop_length": 160}},
}
LTX_VOCODER: dict[str, Any] = {
    "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 1, 1]],
}


def taesd(prefix: str, channels: int) -> Layout:
    """The tiny autoencoder, which the host takes for any of its image models of one eighth."""
    from comfy.taesd.taesd import TAESD

    return built(TAESD, prefix, latent_channels=channels)


def flux2() -> Layout:
    """FLUX.2's autoencoder with a small decoder, as there is one; the width of the encoder is a constant."""
    from comfy.ldm.models.autoencoder import AutoencoderKL

    fixed = {"double_z": True, "z_channels": 32, "in_channels": 3, "out_ch": 3, "ch_mult": [1, 2, 4, 4]}
    sizes = {"resolution": 256, "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0, "batch_norm_latent": True}
    encoder = fixed | sizes | {"ch": 128}
    return built(AutoencoderKL, "", ddconfig=encoder, decoder_ddconfig=encoder | {"ch": 32}, embed_dim=32)


def wan() -> Layout:
    """Wan 2.1's video autoencoder, 8 channels wide; Qwen-Image has the same."""
    from comfy.ldm.wan.vae import WanVAE

    return built(WanVAE, "", dim=8, z_dim=16, temperal_downsample=[False, True, True])


def hunyuan_video() -> Layout:
    """The tiny video autoencoder that the host takes for HunyuanVideo 1.5."""
    from comfy.taesd.taehv import TAEHV

    return built(TAEHV, "", latent_channels=32)


def ltx_video(prefix: str) -> Layout:
    """LTX-2's video autoencoder, as `LTX_VIDEO` describes it."""
    from comfy.ldm.lightricks.vae.causal_video_autoencoder import VideoVAE

    return built(VideoVAE, prefix, config=LTX_VIDEO)


def ltx_audio() -> Layout:
    """LTX-2's autoencoder and vocoder of sound, as `LTX_AUDIO` and `LTX_VOCODER` describe them."""
    from comfy.ldm.lightricks.vae.causal_audio_autoencoder import CausalAudioAutoencoder
    from comfy.ldm.lightricks.vocoders.vocoder import Vocoder

    return built(CausalAudioAutoencoder, "audio_vae.", LTX_AUDIO) | built(Vocoder, "vocoder.", LTX_VOCODER)


def ace_step() -> Layout:
    """ACE-Step 1.5's autoencoder of sound, all of whose sizes are constants."""
    from comfy.ldm.audio.autoencoder import AudioOobleckVAE

    return built(AudioOobleckVAE, "", strides=[2, 4, 4, 6, 10])
