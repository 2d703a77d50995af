// The icons, as paths of a 24 by 24 field. Filled shapes are `fill`, drawn lines `line`.

const FILL = {
  play: "M8 4.8v14.4c0 .7.8 1.1 1.4.7l10.6-7.2a.85.85 0 0 0 0-1.4L9.4 4.1c-.6-.4-1.4 0-1.4.7Z",
  pause: "M7.5 4.5h2a1 1 0 0 1 1 1v13a1 1 0 0 1-1 1h-2a1 1 0 0 1-1-1v-13a1 1 0 0 1 1-1Zm7 0h2a1 1 0 0 1 1 1v13a1 1 0 0 1-1 1h-2a1 1 0 0 1-1-1v-13a1 1 0 0 1 1-1Z",
  next: "M5 5.6v12.8c0 .7.8 1.1 1.3.7l9-6.4a.9.9 0 0 0 0-1.4l-9-6.4c-.5-.4-1.3 0-1.3.7ZM17 5h1.6c.5 0 .9.4.9.9v12.2c0 .5-.4.9-.9.9H17z",
  previous: "M19 5.6v12.8c0 .7-.8 1.1-1.3.7l-9-6.4a.9.9 0 0 1 0-1.4l9-6.4c.5-.4 1.3 0 1.3.7ZM7 5H5.4c-.5 0-.9.4-.9.9v12.2c0 .5.4.9.9.9H7z",
  more: "M5.5 10.4a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Zm6.5 0a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Zm6.5 0a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Z",
};

const LINE = {
  home: "M4 11 12 4l8 7v8.5a.5.5 0 0 1-.5.5H15v-6H9v6H4.5a.5.5 0 0 1-.5-.5z",
  album: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM12 9.3a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4Z",
  artist: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4.5 20c.6-3.6 3.6-5.5 7.5-5.5s6.9 1.9 7.5 5.5",
  track: "M9 17.5V5.5l10-2v12M9 17.5a2.7 2.7 0 1 1-5.4 0 2.7 2.7 0 0 1 5.4 0ZM19 15.5a2.7 2.7 0 1 1-5.4 0 2.7 2.7 0 0 1 5.4 0Z",
  playlist: "M4 6h16M4 11h10M4 16h7M17.5 13v6M14.5 16h6",
  podcast: "M12 4a3 3 0 0 0-3 3v4a3 3 0 0 0 6 0V7a3 3 0 0 0-3-3ZM6 11a6 6 0 0 0 12 0M12 17v3.5M8.5 20.5h7",
  queue: "M4 6h16M4 12h16M4 18h9",
  shuffle: "M3.5 7h3.2c1.7 0 3.1.9 4 2.3l2.6 4.4c.9 1.4 2.3 2.3 4 2.3h3M17.7 13.2l2.8 2.8-2.8 2.8M3.5 17h3.2c1.3 0 2.4-.5 3.2-1.4M13.4 8.9c.9-1.2 2.2-1.9 3.9-1.9h3.2M17.7 4.2 20.5 7l-2.8 2.8",
  repeat: "M4 12V9.5a3 3 0 0 1 3-3h12.5M16.7 3.7l2.8 2.8-2.8 2.8M20 12v2.5a3 3 0 0 1-3 3H4.5M7.3 20.3l-2.8-2.8 2.8-2.8",
  volume: "M4 9.7v4.6h3.3l4.7 4V5.7l-4.7 4zM15 9a4.3 4.3 0 0 1 0 6M17.6 6.5a8 8 0 0 1 0 11",
  muted: "M4 9.7v4.6h3.3l4.7 4V5.7l-4.7 4zM15.5 9.5l5 5M20.5 9.5l-5 5",
  close: "M6 6l12 12M18 6 6 18",
  down: "M5 9l7 7 7-7",
  up: "M5 15l7-7 7 7",
  plus: "M12 5v14M5 12h14",
  check: "M5 12.5 10 17.5 19.5 7",
  sliders: "M4 7.5h9M18 7.5h2M4 16.5h2M11 16.5h9M15.5 5.2a2.3 2.3 0 1 0 0 4.6 2.3 2.3 0 0 0 0-4.6ZM8.5 14.2a2.3 2.3 0 1 0 0 4.6 2.3 2.3 0 0 0 0-4.6Z",
  turntable: "M3.5 5.5h17v13h-17zM10 8.3a3.7 3.7 0 1 0 0 7.4 3.7 3.7 0 0 0 0-7.4ZM17.5 8.5v3.5l-1.8 3",
};

/**
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", FILL[name] ? "icon fill" : "icon line");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", FILL[name] ?? LINE[name]);
  svg.append(path);
  return svg;
}
