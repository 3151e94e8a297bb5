"""What stands where on the web page."""

from __future__ import annotations

import gradio as gr

FONTS = ("system-ui", "sans-serif")  # those of the machine; none is fetched
LOOK = """
.gradio-container { width: 100% !important; max-width: 70rem !important; margin: auto !important; }
#news, #who, #progress { padding: 0 0.5rem; }
#progress progress { width: 100%; height: 1rem; accent-color: #1d4ed8; }
"""
AS_PERSON, AS_MODEL, SIDE_BY_SIDE = "the person", "the model, not adapted", "both, side by side"


def theme() -> gr.themes.Base:
    """Gradio's own, with colours that can be told apart: 4.5 to 1 or more where there is text (WCAG 2, AA)."""
    plain = gr.themes.Default(primary_hue="blue", font=FONTS, font_mono=FONTS)
    return plain.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_cancel_background_fill="#b91c1c",
        button_cancel_background_fill_hover="#991b1b",
        button_cancel_background_fill_dark="#b91c1c",
        button_cancel_background_fill_hover_dark="#991b1b",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )


class Widgets:
    """Drawn where they are made, inside `gr.Blocks`. Without a person, only what chooses or creates one is to be seen."""

    def __init__(self) -> None:
        gr.Markdown("# Chat\nTeach the model some lines of a person, and it answers as they would.")
        with gr.Row():
            self.person = gr.Dropdown([], label="Person", info="whom you talk with")
            self.new = gr.Textbox(label="New person", info="type a name; Enter creates them", max_lines=1)
        self.news = gr.HTML(elem_id="news", js_on_load="element.setAttribute('role', 'status')")
        with gr.Row(visible=False) as self.room:
            with gr.Column(scale=3, min_width=300):
                self._draw_conversation()
            with gr.Column(scale=2, min_width=300):
                self._draw_teaching()
        with gr.Accordion("Who there is", open=False):
            self.who = gr.HTML(elem_id="who")

    def _draw_conversation(self) -> None:
        self.chat = gr.Chatbot(label="Conversation", render_markdown=False, buttons=[], height="24rem")
        with gr.Row(visible=False) as self.two:
            self.own = gr.Textbox(label="Not adapted", interactive=False, lines=3)
            self.theirs = gr.Textbox(label="The person", interactive=False, lines=3)
        self.message = gr.Textbox(label="Message", info="Enter sends it", max_lines=1)
        self.answers = gr.Radio([AS_PERSON, AS_MODEL, SIDE_BY_SIDE], value=AS_PERSON, label="Who answers")
        with gr.Row():
            self.send = gr.Button("Send", variant="primary", min_width=100)
            self.reset = gr.Button("Begin anew", min_width=100)

    def _draw_teaching(self) -> None:
        self.lines = gr.Textbox(
            label="Lines of theirs", info="one a line: what they say, or: what they hear => what they say", lines=4
        )
        self.file = gr.File(
            label="A file of lines: .txt or .jsonl", file_types=[".txt", ".jsonl"], height=160, elem_id="file"
        )
        self.teach = gr.Button("Teach", variant="primary")
        self.progress = gr.HTML(elem_id="progress")
        with gr.Row():
            self.export = gr.Button("Export", interactive=False, min_width=100)
            self.forget = gr.Button("Forget", min_width=100)
        with gr.Row(visible=False) as self.sure:
            self.delete = gr.Button("Delete for ever", variant="stop", min_width=100)
            self.keep = gr.Button("Keep", min_width=100)
