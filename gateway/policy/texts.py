"""The fixed texts: what people read when there is no answer from the replica, in their own language.

`{reference}` and `{seconds}` are the only placeholders. Texts promise nothing that the gateway cannot keep: not that
somebody will look into it, not that trying again will help.
"""

# ruff: noqa: E501 - one text, one line

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import ceil
from typing import TypeAlias

from gateway.messages import TextName

Overrides: TypeAlias = str | Mapping[str, str] | None
"""As the configuration has them: a plain string for all languages, a mapping for some, None for none."""

FALLBACK = "en"

BUILT_IN: dict[str, dict[TextName, str]] = {
    "en": {
        "busy": "I cannot take any more messages right now. Please wait a moment and send it again.",
        "failed": "Sorry, I could not answer that. If you ask for help, please mention {reference}.",
        "expired": "Sorry, this took too long, so I have left your message unanswered. Please send it again if it still matters.",
        "queued": "Many people are asking just now. Your answer should be here in about {seconds} seconds.",
        "unsupported": "Sorry, I cannot read this kind of message. Please write it as text.",
        "denied": "Sorry, I am not available to you here.",
        "greeting": "Hello! What would you like to know?",
        "help": "Just write your question in your own words, and I will answer here. In groups, mention me or reply to one of my messages.",
        "privacy": "Your messages are passed on to an AI service to answer them. Please do not send passwords or other confidential data.",
        "quota": "Sorry, I cannot answer any more questions at the moment.",
        "paused": "I am pausing here so that a person can take over. Send /resume to bring me back.",
        "resumed": "I am back and will answer again.",
    },
    "de": {
        "busy": "Ich kann gerade keine weiteren Nachrichten annehmen. Bitte warte einen Moment und schick sie noch einmal.",
        "failed": "Das konnte ich leider nicht beantworten. Wenn du um Hilfe bittest, nenne bitte {reference}.",
        "expired": "Das hat leider zu lange gedauert, deshalb bleibt deine Nachricht unbeantwortet. Schick sie gern noch einmal, falls sie noch wichtig ist.",
        "queued": "Gerade fragen viele. Die Antwort sollte in etwa {seconds} Sekunden da sein.",
        "unsupported": "Diese Art von Nachricht kann ich leider nicht lesen. Bitte schreib es mir als Text.",
        "denied": "Leider bin ich hier für dich nicht verfügbar.",
        "greeting": "Hallo! Was möchtest du wissen?",
        "help": "Stell deine Frage einfach in eigenen Worten, ich antworte hier. In Gruppen erwähne mich oder antworte auf eine meiner Nachrichten.",
        "privacy": "Deine Nachrichten werden an einen KI-Dienst weitergegeben, um sie zu beantworten. Bitte sende keine Passwörter oder andere vertrauliche Daten.",
        "quota": "Leider kann ich im Moment keine weiteren Fragen beantworten.",
        "paused": "Ich mache hier Pause, damit ein Mensch übernehmen kann. Mit /resume antworte ich wieder.",
        "resumed": "Ich bin wieder da und antworte wieder.",
    },
    "fr": {
        "busy": "Je ne peux pas recevoir d’autres messages pour l’instant. Merci de patienter un moment, puis de renvoyer le vôtre.",
        "failed": "Malheureusement, je n’ai pas pu répondre. Si vous demandez de l’aide, merci d’indiquer {reference}.",
        "expired": "Malheureusement, l’attente a été trop longue et votre message est resté sans réponse. Renvoyez-le s’il est toujours d’actualité.",
        "queued": "Beaucoup de questions arrivent en ce moment. La réponse devrait arriver dans {seconds} secondes environ.",
        "unsupported": "Malheureusement, je ne peux pas lire ce type de message. Merci de l’écrire sous forme de texte.",
        "denied": "Malheureusement, je ne suis pas à votre disposition ici.",
        "greeting": "Bonjour ! Que souhaitez-vous savoir ?",
        "help": "Écrivez simplement votre question avec vos propres mots, je réponds ici. Dans un groupe, mentionnez-moi ou répondez à l’un de mes messages.",
        "privacy": "Vos messages sont transmis à un service d’IA pour y répondre. Merci de ne pas envoyer de mots de passe ni d’autres données confidentielles.",
        "quota": "Malheureusement, je ne peux plus répondre aux questions pour le moment.",
        "paused": "Je me mets en pause ici pour qu’une personne prenne le relais. Envoyez /resume pour me faire revenir.",
        "resumed": "Je suis de retour et je réponds de nouveau.",
    },
    "es": {
        "busy": "Ahora mismo no puedo recibir más mensajes. Espera un momento y vuelve a enviarlo, por favor.",
        "failed": "Lo siento, no he podido responder. Si pides ayuda, indica {reference}, por favor.",
        "expired": "Lo siento, la espera fue demasiado larga y tu mensaje se ha quedado sin respuesta. Envíalo de nuevo si todavía te interesa.",
        "queued": "Ahora mismo hay muchas preguntas. La respuesta debería llegar en unos {seconds} segundos.",
        "unsupported": "Lo siento, no puedo leer este tipo de mensaje. Escríbelo como texto, por favor.",
        "denied": "Lo siento, aquí no estoy disponible para ti.",
        "greeting": "¡Hola! ¿Qué te gustaría saber?",
        "help": "Escribe tu pregunta con tus propias palabras y te responderé aquí. En los grupos, mencióname o responde a uno de mis mensajes.",
        "privacy": "Tus mensajes se transmiten a un servicio de IA para responderlos. No envíes contraseñas ni otros datos confidenciales, por favor.",
        "quota": "Lo siento, por ahora no puedo responder más preguntas.",
        "paused": "Hago una pausa aquí para que una persona se encargue. Envía /resume para que vuelva.",
        "resumed": "He vuelto y respondo de nuevo.",
    },
    "pt": {
        "busy": "No momento não posso receber mais mensagens. Aguarde um pouco e envie de novo, por favor.",
        "failed": "Desculpe, não consegui responder. Se pedir ajuda, informe {reference}, por favor.",
        "expired": "Desculpe, a espera foi longa demais e sua mensagem ficou sem resposta. Envie de novo se ainda for importante.",
        "queued": "Há muitas perguntas neste momento. A resposta deve chegar em cerca de {seconds} segundos.",
        "unsupported": "Desculpe, não consigo ler este tipo de mensagem. Escreva em forma de texto, por favor.",
        "denied": "Desculpe, não estou disponível para você aqui.",
        "greeting": "Olá! O que você gostaria de saber?",
        "help": "Escreva sua pergunta com suas próprias palavras e eu respondo aqui. Em grupos, mencione-me ou responda a uma das minhas mensagens.",
        "privacy": "Suas mensagens são enviadas a um serviço de IA para serem respondidas. Não envie senhas nem outros dados confidenciais, por favor.",
        "quota": "Desculpe, não posso responder a mais perguntas no momento.",
        "paused": "Faço uma pausa aqui para que uma pessoa assuma. Envie /resume para eu voltar.",
        "resumed": "Voltei e respondo de novo.",
    },
    "it": {
        "busy": "In questo momento non posso ricevere altri messaggi. Attendi un attimo e invialo di nuovo, per favore.",
        "failed": "Purtroppo non ho potuto rispondere. Se chiedi aiuto, indica {reference}, per favore.",
        "expired": "Purtroppo l’attesa è stata troppo lunga e il tuo messaggio è rimasto senza risposta. Invialo di nuovo se ti serve ancora.",
        "queued": "In questo momento ci sono molte domande. La risposta dovrebbe arrivare tra circa {seconds} secondi.",
        "unsupported": "Purtroppo non posso leggere questo tipo di messaggio. Scrivilo come testo, per favore.",
        "denied": "Purtroppo qui non sono disponibile per te.",
        "greeting": "Ciao! Che cosa vorresti sapere?",
        "help": "Scrivi la tua domanda con parole tue e ti risponderò qui. Nei gruppi menzionami o rispondi a uno dei miei messaggi.",
        "privacy": "I tuoi messaggi vengono trasmessi a un servizio di IA per ricevere risposta. Non inviare password o altri dati riservati, per favore.",
        "quota": "Purtroppo al momento non posso rispondere ad altre domande.",
        "paused": "Mi metto in pausa qui, così può subentrare una persona. Invia /resume per farmi tornare.",
        "resumed": "Sono di nuovo qui e rispondo di nuovo.",
    },
    "ar": {
        "busy": "لا يمكنني استقبال مزيد من الرسائل الآن. يُرجى الانتظار لحظة ثم إعادة الإرسال.",
        "failed": "عذرًا، لم أتمكن من الإجابة. إذا طلبت المساعدة فيُرجى ذكر {reference}.",
        "expired": "عذرًا، طال الانتظار كثيرًا وبقيت رسالتك دون جواب. يُرجى إرسالها مرة أخرى إذا كانت لا تزال تهمك.",
        "queued": "هناك أسئلة كثيرة الآن. من المتوقع أن يصل الجواب خلال {seconds} ثانية تقريبًا.",
        "unsupported": "عذرًا، لا أستطيع قراءة هذا النوع من الرسائل. يُرجى كتابتها نصًّا.",
        "denied": "عذرًا، لست متاحًا لك هنا.",
        "greeting": "مرحبًا! ماذا تودّ أن تعرف؟",
        "help": "اكتب سؤالك بكلماتك وسأجيبك هنا. في المجموعات اذكرني أو ردّ على إحدى رسائلي.",
        "privacy": "تُرسَل رسائلك إلى خدمة ذكاء اصطناعي للإجابة عنها. يُرجى عدم إرسال كلمات المرور أو أي بيانات سرية.",
        "quota": "عذرًا، لا يمكنني الإجابة عن مزيد من الأسئلة في الوقت الحالي.",
        "paused": "سأتوقف هنا ليتولى شخص المحادثة. أرسل ‎/resume لأعود.",
        "resumed": "لقد عدت وسأجيب من جديد.",
    },
    "ja": {
        "busy": "ただいま、これ以上メッセージを受け付けられません。少し待ってから、もう一度お送りください。",
        "failed": "申し訳ありません。お答えできませんでした。お問い合わせの際は {reference} をお伝えください。",
        "expired": "申し訳ありません。時間がかかりすぎたため、お答えできませんでした。まだ必要でしたら、もう一度お送りください。",
        "queued": "ただいま質問が多く届いています。回答まで約{seconds}秒かかる見込みです。",
        "unsupported": "申し訳ありません。この種類のメッセージは読めません。文章でお送りください。",
        "denied": "申し訳ありません。こちらではご利用いただけません。",
        "greeting": "こんにちは。何を知りたいですか？",
        "help": "質問をそのまま書いてください。ここでお答えします。グループでは、メンションするか、私のメッセージに返信してください。",
        "privacy": "メッセージは、回答のためにAIサービスへ送信されます。パスワードなどの機密情報は送らないでください。",
        "quota": "申し訳ありません。現在、これ以上の質問にはお答えできません。",
        "paused": "担当者が対応できるよう、ここでは返信を控えます。再開するには /resume と送ってください。",
        "resumed": "再開しました。またお答えします。",
    },
}  # fmt: skip


def choose(name: TextName, overrides: Overrides = None, locale: str | None = None) -> str:
    """Pick a text for a user's locale (an IETF tag in any spelling, `pt-BR` or `pt_br`; None: unknown).

    A plain override wins everywhere. Else the nearest language that there is a text in: the tag itself, its language,
    at last English; the operator's text before the built-in one.
    """
    if isinstance(overrides, str):
        return overrides
    own = {_tag(tag): text for tag, text in (overrides or {}).items()}
    for tag in (*_widening(_tag(locale or FALLBACK)), FALLBACK):
        if tag in own:
            return own[tag]
        if tag in BUILT_IN:
            return BUILT_IN[tag][name]
    raise AssertionError("English is built in")


def fill(text: str, *, reference: str | None = None, seconds: float | None = None) -> str:
    """Put values into the placeholders; one without a value, and all else in braces, stays as it is."""
    values = {"reference": reference, "seconds": None if seconds is None else str(max(1, ceil(seconds)))}
    return _PLACEHOLDER.sub(lambda found: values[found[1]] or found[0], text)


def failed(text: str, reference: str) -> str:
    """Fill in the text of a failure, which always shows its reference: at the end if it has no place for it."""
    return fill(text if "{reference}" in text else f"{text} ({{reference}})", reference=reference)


_PLACEHOLDER = re.compile(r"\{(reference|seconds)\}")


def _tag(tag: str) -> str:
    return tag.replace("_", "-").lower()


def _widening(tag: str) -> Iterator[str]:
    """`zh-hant-tw` → `zh-hant-tw`, `zh-hant`, `zh`."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]
