"""Workflows of the models of video and sound."""

from . import parts
from .canvas import Canvas, Output, name_of
from .parts import HUB, Pair, repackaged

WAN = "Wan_2.2_ComfyUI_Repackaged"
WAN_TEXT = repackaged("Wan_2.1_ComfyUI_repackaged", "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors")
WAN_VAE = repackaged(WAN, "vae/wan_2.1_vae.safetensors")
HUNYUAN = "HunyuanVideo_1.5_repackaged"
HUNYUAN_TEXTS = [
    repackaged(HUNYUAN, "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors"),
    repackaged(HUNYUAN, "text_encoders/byt5_small_glyphxl_fp16.safetensors"),
]
LTX = f"{HUB}/Lightricks/LTX-2/resolve/main/ltx-2-19b-dev-fp8.safetensors"
LTX_TEXT = repackaged("ltx-2", "text_encoders/gemma_3_12B_it_fp4_mixed.safetensors")
ACE = "ace_step_1.5_ComfyUI_files"
ACE_TEXTS = [repackaged(ACE, f"text_encoders/qwen_{size}_ace15.safetensors") for size in ("0.6b", "1.7b")]

FOX = "a fox runs through fresh snow at sunrise, the camera follows, cinematic"
SAIL = "the camera moves slowly closer, leaves and clouds move in a light wind, natural motion"
PLANE = "a paper plane glides from a tower over a harbour at sunset, the camera flies along, cinematic"
WAVES = (
    "Waves roll onto a pebble beach in the evening light, a gull flies past. "
    "The sound of the surf, pebbles that roll, one call of the gull."
)
TAGS = "acoustic folk, fingerpicked guitar, soft female voice, upright bass, brushes on drums, warm, close"
LYRICS = """[Verse]
The kettle sings, the window clears
A blackbird counts the passing years

[Chorus]
Stay a while, the road can wait
The morning opens up its gate
"""
POOR = "static, blurry, low quality, text, watermark, deformed"


def wan_text(canvas: Canvas) -> None:
    """Wan 2.2, from text."""
    models, clip, vae = _wan_files(canvas, "t2v")
    pair = (parts.prompt(canvas, clip, FOX), parts.negative(canvas, clip, POOR))
    (latent,) = canvas.add("prompts", "EmptyHunyuanLatentVideo", width=640, height=640, length=81)
    _wan(canvas, models, latent, pair, vae, "LML_Wan22_text")


def wan_image(canvas: Canvas) -> None:
    """Wan 2.2, from a picture."""
    models, clip, vae = _wan_files(canvas, "i2v")
    (picture, _) = canvas.add("files", "LoadImage", image="example.png")
    texts = {"positive": parts.prompt(canvas, clip, SAIL), "negative": parts.negative(canvas, clip, POOR)}
    size = {"width": 640, "height": 640, "length": 81}
    *pair, latent = canvas.add("prompts", "WanImageToVideo", **texts, vae=vae, start_image=picture, **size)
    _wan(canvas, models, latent, (pair[0], pair[1]), vae, "LML_Wan22_image")


def _wan_files(canvas: Canvas, kind: str) -> tuple[list[Output], Output, Output]:
    name = "diffusion_models/wan2.2_{}_{}_noise_14B_fp8_scaled.safetensors"
    models = [parts.network(canvas, repackaged(WAN, name.format(kind, level))) for level in ("high", "low")]
    return models, parts.text_encoder(canvas, "wan", WAN_TEXT), parts.autoencoder(canvas, WAN_VAE)


def _wan(canvas: Canvas, models: list[Output], latent: Output, pair: Pair, vae: Output, name: str) -> None:
    (high,), (low,) = (canvas.add("prompts", "ModelSamplingSD3", model=model, shift=5.0) for model in models)
    # The levels 7 and 8 of 20 are 0.906 and 0.873. Wan changes at 0.875 from text and at 0.9 from a picture.
    result = parts.by_two_experts(canvas, (high, low), latent, pair, steps=20, change=8, cfg=3.5)
    parts.saved_video(canvas, result, vae, name, fps=16.0)


def hunyuan(canvas: Canvas) -> None:
    """HunyuanVideo 1.5, from text."""
    model = parts.network(canvas, repackaged(HUNYUAN, "diffusion_models/hunyuanvideo1.5_720p_t2v_fp16.safetensors"))
    clip = parts.text_encoder(canvas, "hunyuan_video_15", *HUNYUAN_TEXTS)
    vae = parts.autoencoder(canvas, repackaged(HUNYUAN, "vae/hunyuanvideo15_vae_fp16.safetensors"))
    pair = (parts.prompt(canvas, clip, PLANE), parts.negative(canvas, clip))
    (latent,) = canvas.add("prompts", "EmptyHunyuanVideo15Latent", width=1280, height=720, length=121)
    (shifted,) = canvas.add("sampling", "ModelSamplingSD3", model=model, shift=7.0)
    result = parts.sampled(canvas, shifted, latent, pair, steps=20, cfg=6.0)
    parts.saved_video(canvas, result, vae, "LML_HunyuanVideo15", fps=24.0)


def ltx(canvas: Canvas) -> None:
    """LTX-2: video and its sound."""
    model, _, vae = parts.checkpoint(canvas, LTX)
    encoders = {"text_encoder": name_of(LTX_TEXT), "ckpt_name": name_of(LTX)}
    (clip,) = canvas.model("LTXAVTextEncoderLoader", {LTX_TEXT: "text_encoders", LTX: "checkpoints"}, **encoders)
    (sound_vae,) = canvas.model("LTXVAudioVAELoader", {LTX: "checkpoints"}, ckpt_name=name_of(LTX))
    texts = {"positive": parts.prompt(canvas, clip, WAVES), "negative": parts.negative(canvas, clip, POOR)}
    positive, without = canvas.add("prompts", "LTXVConditioning", **texts, frame_rate=24.0)
    (video,) = canvas.add("prompts", "EmptyLTXVLatentVideo", width=768, height=512, length=121)
    sound = {"frames_number": 121, "frame_rate": 24.0, "audio_vae": sound_vae}
    (audio,) = canvas.add("prompts", "LTXVEmptyLatentAudio", **sound)
    (both,) = canvas.add("sampling", "LTXVConcatAVLatent", video_latent=video, audio_latent=audio)
    (sigmas,) = canvas.add("sampling", "LTXVScheduler", latent=both, steps=20)
    (guider,) = canvas.add("sampling", "CFGGuider", model=model, positive=positive, negative=without, cfg=4.0)
    result = parts.sampled_by_parts(canvas, guider, sigmas, both)
    video, audio = canvas.add("result", "LTXVSeparateAVLatent", av_latent=result)
    (track,) = canvas.add("result", "LTXVAudioVAEDecode", samples=audio, audio_vae=sound_vae)
    parts.saved_video(canvas, video, vae, "LML_LTX2", fps=24.0, audio=track)


def ace_step(canvas: Canvas) -> None:
    """ACE-Step 1.5 turbo: a song."""
    model = parts.network(canvas, repackaged(ACE, "diffusion_models/acestep_v1.5_turbo.safetensors"))
    clip = parts.text_encoder(canvas, "ace", *ACE_TEXTS)
    vae = parts.autoencoder(canvas, repackaged(ACE, "vae/ace_1.5_vae.safetensors"))
    song = {"tags": TAGS, "lyrics": LYRICS, "bpm": 96, "duration": 60.0, "timesignature": "4", "language": "en"}
    node = "TextEncodeAceStepAudio1.5"
    (positive,) = canvas.add("prompts", node, "The song", clip=clip, **song, keyscale="D minor", seed=parts.SEED)
    without = parts.no_negative(canvas, positive)
    (latent,) = canvas.add("prompts", "EmptyAceStep1.5LatentAudio", seconds=60.0)
    (shifted,) = canvas.add("sampling", "ModelSamplingAuraFlow", model=model, shift=3.0)
    result = parts.sampled(canvas, shifted, latent, (positive, without), steps=8, **parts.DISTILLED)
    (sound,) = canvas.add("result", "VAEDecodeAudio", samples=result, vae=vae)
    canvas.add("result", "SaveAudioMP3", audio=sound, filename_prefix="audio/LML_ACE_Step", quality="V0")
