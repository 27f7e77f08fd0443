// Everything a page needs beyond HTML and htmx. Each module looks after one habit and asks the
// markup (data-*) what to do, so fragments that arrive later work without being registered.
import "./clock.js";
import "./copy.js";
import "./keys.js";
import "./list.js";
import "./live.js";
import "./popovers.js";
import "./theme.js";
import "./toasts.js";
