//! The sample office: the customer centre whose appended table (R4.1) is the sample configuration.

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficeLine {
    /// The dial-in number.
    pub number: &'static str,
    /// What the line is called.
    pub name: &'static str,
}

/// The designated lines, on channels 1 to 4 of the sample card.
pub const LINES: [OfficeLine; 4] = [
    OfficeLine {
        number: "06-6458-1132",
        name: "お客さまセンター代表ダイヤル",
    },
    OfficeLine {
        number: "06-6458-7160",
        name: "クレジットグループ用",
    },
    OfficeLine {
        number: "06-6458-7211",
        name: "口座グループ用",
    },
    OfficeLine {
        number: "06-6458-7225",
        name: "FAXグループ用",
    },
];

/// Why all four are recorded.
pub const PURPOSE: &str = "応対品質の管理、対応内容等の確認";

/// A number that is wired to the card's fifth channel but not designated: R2.1 wants no trace of
/// it.
pub const UNDESIGNATED: &str = "06-6458-7299";
