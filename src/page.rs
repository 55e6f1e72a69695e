//! Pages for people: French by default, English where the browser asks for it.
