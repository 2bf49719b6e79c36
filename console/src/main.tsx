// Entry: load the words, then show sign-in or the shell.
import "./styles/index.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { startLanguage } from "./i18n/i18n";
import { App } from "./session/app";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
await startLanguage();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
