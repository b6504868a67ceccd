/** Writes docs/settings.md from the schema; with --check it only says whether the page is up to date, by its exit status. */
import { settingsReference } from "../src/settings/reference.js";
import { writeOrCheck } from "./generated-page.js";

writeOrCheck("settings.md", settingsReference());
