// What the API says, in the one shape the views know. Whatever is missing becomes empty here, and nowhere else.

/** @typedef {{ url: string, width: number }} Image */
/** @typedef {{ id: string, name: string }} Named */
/** @typedef {Named & { images: Image[], genres: string[] }} Artist */
/** @typedef {Named & { kind: string, artists: Named[], images: Image[], year: string, total: number }} Album */
/** @typedef {Named & { artists: Named[], album: Album | null, images: Image[], disc: number, number: number, durationMs: number, lufs: number | null, episode?: Episode }} Track */
/** @typedef {Named & { images: Image[], total: number, owner: string }} Playlist */
/** @typedef {Named & { images: Image[], total: number, publisher: string, about: string, problem: string }} Show */
/** @typedef {{ show: string, about: string, day: string, resumeMs: number, played: boolean }} Episode what a track has that is one */

const text = (value) => (typeof value === "string" ? value : "");
const list = (value) => (Array.isArray(value) ? value.filter(Boolean) : []);

/** Only pictures of this host, as paths: nothing that a tag says makes the browser ask elsewhere. The scheme may be another one
 * where a proxy in front speaks TLS. */
function images(raw) {
  const given = list(raw.images);
  if (given.length === 0 && raw.art) given.push({ url: raw.art, width: 300 });
  return given.flatMap(({ url, width }) => {
    if (typeof url !== "string" || !URL.canParse(url, location.href)) return [];
    const parsed = new URL(url, location.href);
    return parsed.host === location.host && parsed.pathname.startsWith("/art/") ? [{ url: parsed.pathname, width: Number(width) || 300 }] : [];
  });
}

const named = (raw) => ({ id: text(raw.id), name: text(raw.name) });

/** @returns {Artist} */
export const artist = (raw) => ({ ...named(raw), images: images(raw), genres: list(raw.genres).map(String) });

/** @returns {Album} */
export const album = (raw) => ({
  ...named(raw),
  kind: text(raw.album_type) || "album",
  artists: list(raw.artists).map(named),
  images: images(raw),
  year: text(raw.release_date).slice(0, 4),
  total: Number(raw.total_tracks) || 0,
});

/** @param {Album} [within] of a track that comes without its album @returns {Track} */
export function track(raw, within) {
  const of = raw.album ? album(raw.album) : (within ?? null);
  const own = images(raw);
  return {
    ...named(raw),
    artists: list(raw.artists).map(named),
    album: of,
    images: own.length ? own : (of?.images ?? []),
    disc: Number(raw.disc_number) || 1,
    number: Number(raw.track_number) || 0,
    durationMs: Number(raw.duration_ms) || 0,
    lufs: Number.isFinite(raw.loudness_lufs) ? raw.loudness_lufs : null,
  };
}

/** @returns {Playlist} */
export const playlist = (raw) => ({
  ...named(raw),
  images: images(raw),
  total: Number(raw.items?.total ?? raw.tracks?.total) || 0,
  owner: text(raw.owner?.display_name),
});

/** @returns {Show} */
export const show = (raw) => ({
  ...named(raw),
  images: images(raw),
  total: Number(raw.total_episodes) || 0,
  publisher: text(raw.publisher),
  about: text(raw.description),
  problem: text(raw.feed_state?.problem),
});

/** An episode as something that plays. @param {Show} [within] of one that comes without its show @returns {Track} */
export function episode(raw, within) {
  const of = raw.show ? show(raw.show) : (within ?? { id: "", name: "", images: [] });
  const { resume_position_ms: resumeMs, fully_played: played } = raw.resume_point ?? {};
  return {
    ...named(raw),
    artists: [{ id: "", name: of.name }],
    album: null,
    images: of.images,
    disc: 1,
    number: 0,
    durationMs: Number(raw.duration_ms) || 0,
    lufs: null,
    episode: { show: of.id, about: text(raw.description), day: text(raw.release_date), resumeMs: played ? 0 : Number(resumeMs) || 0, played: played === true },
  };
}

/** Entries of a playlist: Spotify calls the field `item`, and once called it `track`. @returns {Track[]} */
export const entries = (raw) => list((raw.items ?? raw.tracks)?.items).map((entry) => entry.item ?? entry.track ?? entry).filter((entry) => entry?.id).map((entry) => track(entry));

/** The items of one page. @template T @param {(raw: any) => T} read @returns {T[]} */
export const items = (page, read) => list(Array.isArray(page) ? page : page?.items).map((raw) => read(raw));
