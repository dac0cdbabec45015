//! What is said on the sample card. Kana only: espeak-ng cannot read kanji. Particles are written
//! as they sound (は as わ, へ as え), and words are set apart, which it needs to stress them.

use crate::office::{LINES, UNDESIGNATED};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// The person who calls: a higher voice.
    Caller,
    /// The person who answers: a lower one.
    Staff,
}

/// One turn of a call.
#[derive(Debug)]
pub(super) struct Turn {
    /// Silence before it, milliseconds.
    pub pause_ms: u32,
    /// Who speaks.
    pub voice: Voice,
    /// What is said.
    pub text: &'static str,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// The card's channel, counted from 1.
    pub channel: u16,
    /// The number that was called.
    pub number: &'static str,
    /// Whether that number is designated.
    pub designated: bool,
    /// What is said.
    pub turns: &'static [Turn],
}

const fn staff(pause_ms: u32, text: &'static str) -> Turn {
    Turn {
        pause_ms,
        voice: Voice::Staff,
        text,
    }
}

const fn caller(pause_ms: u32, text: &'static str) -> Turn {
    Turn {
        pause_ms,
        voice: Voice::Caller,
        text,
    }
}

const fn on_line(line: usize, turns: &'static [Turn]) -> Call {
    Call {
        channel: line as u16 + 1,
        number: LINES[line].number,
        designated: true,
        turns,
    }
}

/// The calls, in the order of channels, then of time. The first of each channel has the longest
/// pause that the office knows: somebody looks something up for six seconds.
pub(super) const SCRIPT: &[Call] = &[
    on_line(
        0,
        &[
            staff(
                0,
                "おでんわ ありがとう ございます。おきゃくさま せんたー で ございます",
            ),
            caller(
                700,
                "すいどうりょうきん の しはらい に ついて おしえて ください",
            ),
            staff(600, "おきゃくさま ばんごう を おねがい します"),
            caller(900, "いちにさん の よんごうろく です"),
            staff(6000, "おまたせ しました。こんげつ の まつじつ です"),
        ],
    ),
    on_line(
        0,
        &[
            staff(0, "はい、おきゃくさま せんたー です"),
            caller(500, "ひっこし の てつづき を したい の ですが"),
            staff(900, "あたらしい ごじゅうしょ を うかがいます"),
            caller(1500, "きたく の うめだ に なります"),
        ],
    ),
    on_line(
        1,
        &[
            staff(0, "くれじっと ぐるーぷ で ございます"),
            caller(
                600,
                "かーど の ばんごう が かわりました ので、へんこう を おねがい します",
            ),
            staff(700, "かしこまりました。しょうしょう おまち ください"),
            staff(
                6000,
                "おまたせ しました。あたらしい もうしこみしょ を おおくり します",
            ),
        ],
    ),
    on_line(
        1,
        &[
            staff(0, "おでんわ ありがとう ございます"),
            caller(
                1200,
                "せんしゅう おねがい した しょるい わ いつ とどきます か",
            ),
            staff(2500, "みっか ほど で とどきます"),
            caller(600, "ありがとう ございます"),
        ],
    ),
    on_line(
        2,
        &[
            staff(0, "はい、こうざ ぐるーぷ です"),
            caller(
                500,
                "こうざ ふりかえ を とりやめたい の ですが、どう すれば よい です か",
            ),
            staff(700, "おなまえ と ごじゅうしょ を おねがい します"),
            staff(6000, "かしこまりました。らいげつ から とまります"),
        ],
    ),
    on_line(
        2,
        &[
            staff(0, "おでんわ かわりました"),
            caller(400, "こうざ の めいぎ を かえる に わ どう します か"),
            staff(3000, "ぎんこう の まどぐち で おねがい します"),
        ],
    ),
    on_line(
        3,
        &[
            staff(0, "ふぁっくす ぐるーぷ で ございます"),
            caller(
                800,
                "きのう の ごご に おくった しょるい わ とどきました か",
            ),
            staff(500, "おしらべ します ので、おまち ください"),
            staff(6000, "はい、さんまい とも たしか に うけとりました"),
        ],
    ),
    on_line(
        3,
        &[
            staff(0, "はい、ふぁっくす ぐるーぷ です"),
            caller(
                600,
                "もう いちまい おくります ので、よろしく おねがい します",
            ),
            staff(700, "わかりました。おまち して おります"),
        ],
    ),
    Call {
        channel: 5,
        number: UNDESIGNATED,
        designated: false,
        turns: &[
            staff(0, "そうむか です"),
            caller(500, "この でんわ わ ろくおん されて います か"),
            staff(2000, "いいえ、この ばんごう わ ろくおん しません"),
        ],
    },
];
