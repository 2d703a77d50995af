"""py-opensonic, the library of Music Assistant, through a listener's evening: BASE PORT USER APP-PASSWORD.

Every answer is decoded into the library's own types, which refuse what is missing or of another kind.
"""

import asyncio
import sys
import time
import urllib.parse

from libopensonic import AsyncConnection


def expect(condition, why):
    if not condition:
        sys.exit(f"FAILED {why}")


async def evening(here):
    expect(await here.ping(), "ping")
    names = {extension.name for extension in await here.get_open_subsonic_extensions()}
    expect({"formPost", "apiKeyAuthentication"} <= names, f"extensions: {names}")

    # Looking round.
    found = await here.search3("noon")
    expect(found.song and found.album[0].name == "Noon", f"search3: {found}")
    albums = await here.get_album_list2("alphabeticalByName", size=50)
    expect([a.name for a in albums] == ["First Light", "Nachtmusik für Ägypten", "Noon"], f"{[a.name for a in albums]}")
    paged = [(await here.get_album_list2("alphabeticalByName", size=1, offset=n))[0].id for n in range(3)]
    expect(paged == [a.id for a in albums], "pages are not the list")
    album = await here.get_album(albums[2].id)
    songs = album.song
    expect([s.track for s in songs] == [1, 2, 3] and songs[0].duration == 40, f"getAlbum: {songs}")
    counts = {a.name: a.album_count for index in (await here.get_artists()).index for a in index.artist}
    expect(counts == {"Björk & Söhne": 1, "The Early Birds": 2}, f"getArtists: {counts}")
    expect(len((await here.get_random_songs(5))) == 5, "getRandomSongs")
    picture = await here.get_cover_art(album.cover_art, 200)
    expect((await picture.read())[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0"), "an album without a cover has no picture")

    # A playlist from its first song to its end.
    await here.create_playlist(name="Evening", song_ids=[songs[0].id, songs[1].id])
    playlist = next(p for p in await here.get_playlists() if p.name == "Evening")
    await here.update_playlist(playlist.id, name="Late evening", song_ids_to_add=[songs[2].id], song_indices_to_remove=[0])
    now = await here.get_playlist(playlist.id)
    expect((now.name, [s.id for s in now.entry]) == ("Late evening", [songs[1].id, songs[2].id]), f"{now}")
    await here.create_playlist(playlist_id=playlist.id, song_ids=[songs[2].id, songs[1].id])
    turned = await here.get_playlist(playlist.id)
    expect([s.id for s in turned.entry] == [songs[2].id, songs[1].id], "the order was not changed")
    await here.delete_playlist(playlist.id)
    expect(all(p.id != playlist.id for p in await here.get_playlists()), "a deleted playlist is there")

    # What one thinks of it.
    await here.star(sids=[songs[0].id], album_ids=[album.id], artist_ids=[album.artist_id])
    await here.set_rating(songs[0].id, 4)
    starred = await here.get_starred2()
    expect([len(starred.song), len(starred.album), len(starred.artist)] == [1, 1, 1], f"getStarred2: {starred}")
    expect((await here.get_song(songs[0].id)).user_rating == 4, "setRating")
    await here.unstar(sids=[songs[0].id], album_ids=[album.id], artist_ids=[album.artist_id])
    expect(not (await here.get_starred2()).song, "unstar")

    # The queue, and a song of it.
    await here.save_play_queue([s.id for s in (songs[0], songs[2])], current=songs[0].id, position=1500)
    queue = await here.get_play_queue()
    expect((queue.current, queue.position, len(queue.entry)) == (songs[0].id, 1500, 2), f"getPlayQueue: {queue}")

    async def stream(**more):
        answer = await here.stream(songs[0].id, **more)
        claims = dict(urllib.parse.parse_qsl(answer.url.query_string))
        return claims, await answer.read()

    first, sound = await stream()
    expect(sound[:4] == b"OggS" and len(sound) > 500_000, f"stream: {sound[:8]!r}, {len(sound)} bytes")
    expect("next" in first, "the edge is not told what comes next")
    await here.scrobble(songs[0].id, submission=False)
    await here.scrobble(songs[0].id, submission=True, listen_time=int(time.time()))
    await here.scrobble(songs[0].id)
    again, _ = await stream(max_bit_rate=96)
    expect(again["pid"] == first["pid"], "a scrobble at half time ended the play")
    plays = (await here.get_song(songs[0].id)).play_count
    expect(plays == 1, f"one listen with three scrobbles counts {plays} times")
    print(f"ok play {first['pid']} of {songs[0].title!r}, {len(sound) // 1024} KiB")


async def main():
    base, port, user, password = sys.argv[1:]
    here = AsyncConnection(base, username=user, password=password, port=int(port), app_name="evening")
    try:
        await evening(here)
    finally:
        await here.cleanup()


asyncio.run(main())
