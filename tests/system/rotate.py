#!/usr/bin/env python3
# build: asan
# timeout: 240
"""Rotating a key: nothing is sent again, points of every generation are restored by whoever has the newest, online and
offline; a rotation that was cut off anywhere leaves jobs that run and is finished by the same command; --new-dedup
says what it costs; a revoked host loses the grants of every generation."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same, wait_until

NO_KEY, WRONG_KEY, POLICY, NOT_AUTHENTIC, DAMAGED = 20, 21, 5, 26, 22
REWRAPS_MOST = 64  # of one seal (docs/format.md, section 10)
ROUNDS = int(os.environ.get("SEALIFT_ROUNDS", "10"))
ROTATIONS = int(os.environ.get("SEALIFT_ROTATIONS", str(REWRAPS_MOST - 4)))  # of those rounds
SEED = int(os.environ.get("SEALIFT_SEED", "0")) or random.randrange(1 << 30)


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o600)
    return path


class Rotation:
    def __init__(self, site, tree):
        self.site, self.tree = site, tree
        self.contents = []  # of each point, a copy of the tree

    def ask(self, *words, code=0):
        return json.loads(self.site.sealift("--json", *words, code=code).stdout)

    def backup(self):
        """One point; returns the run and the point's id."""
        kept = self.site.path(f"kept-{len(self.contents)}")
        subprocess.run(["cp", "-a", self.tree, kept], check=True)
        done = self.ask("job", "run", "web", "--wait")
        self.contents.append((done["point"], kept))
        return done

    def restore_all(self, what, host="restorer"):
        for number, (point, kept) in enumerate(self.contents):
            out = self.site.path("out", f"{what}-{number}")
            self.site.sealift("restore", point, "--to", f"{host}:{out}", "--wait")
            same(kept, out + self.tree, f"{what}: point {number}")

    def offline_all(self, what, *options, state=None, repository="r"):
        env = dict(self.site.env, SEALIFT_STATE=state or self.site.path("nobody"))
        for number, (point, kept) in enumerate(self.contents):
            out = self.site.path("out", f"{what}-{number}")
            self.site.sealift("offline", "restore", self.site.path("store", repository), point, "--to", out, *options,
                              env=env)
            same(kept, out + self.tree, f"{what}: point {number}")


    def begin(self, *words):
        """A command that will be killed, or whose daemons will."""
        return subprocess.Popen([os.path.join(self.site.bin, "sealift"), *words], env=self.site.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def rewraps(self):
        """Of each seal that has any, which: not what a run whose source was killed may still be writing."""
        path = os.path.join(self.site.path("store", "r"), "rewrap")
        return {seal: sorted(filter(str.isdigit, os.listdir(os.path.join(path, seal))), key=int) for seal in os.listdir(path)}


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=8)
    os.truncate(os.path.join(tree, "big"), 1 << 20)
    wrapping = put(site.path("wrapping.key"), os.urandom(32))
    site.add_transporter("source", "trusted", read=[tree],
                         extra=f'kms = ( {{ name = "here"; uri = "file://{wrapping}"; }} );\n')
    site.add_transporter("restorer", "trusted", restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))
    first_file = put(site.path("first.key"), os.urandom(32))
    words = put(site.path("words"), b"correct horse battery\n")
    newest_file = put(site.path("newest.key"), os.urandom(32))
    last_file = put(site.path("last.key"), os.urandom(32))
    site.sealift("key", "create", "main", "--description", "all of it", "--from-file", first_file)
    site.sealift("job", "create", "web", "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt", "source",
                 "--key", "main")
    rotation = Rotation(site, tree)
    rotation.backup()
    put(os.path.join(tree, "second"), os.urandom(60000))
    rotation.backup()

    # --- what is refused
    refused = site.sealift("key", "rotate", "main", code=2)
    expect("--generate" in refused.stderr, f"where S comes from is asked: {refused.stderr}")
    refused = site.sealift("key", "rotate", "main", "--from-file", first_file, "--yes", code=3)
    expect("is, or was" in refused.stderr, f"the same secret is no rotation: {refused.stderr}")

    # --- a rotation: the next run sends nothing again
    said = site.sealift("key", "rotate", "main", "--password", "--password-file", words, "--yes")
    for warning in ("recovery kits", "--reencrypt"):
        expect(warning in said.stderr, f"'{warning}' is said: {said.stderr}")
    key = rotation.ask("key", "show", "main")
    expect(key["generation"] == 2 and len(key["earlier"]) == 1, f"two generations: {key}")
    expect(sorted(grant["half"] for grant in key["grants"]) == ["read", "write"], f"the same halves: {key['grants']}")
    old = rotation.ask("key", "show", key["earlier"][0])
    expect([grant["half"] for grant in old["grants"]] == ["read"], f"the old write grant is gone: {old['grants']}")
    done = rotation.backup()
    expect(done["sent_bytes"] < 20000, f"nothing is sent again: {done}")
    listed = rotation.ask("point", "list")["points"]
    shown = [rotation.ask("point", "show", point["id"]) for point in listed]
    expect(len({point["key_fingerprint"] for point in shown}) == 2, "each point keeps the fingerprint of its generation")
    expect({point["key"] for point in shown} == {"main"}, "under one name")
    rotation.restore_all("two generations")
    rotation.offline_all("offline with the password of the newest", "--password-file", words)
    refused = site.sealift("offline", "restore", site.path("store", "r"), rotation.contents[-1][0], "--to",
                           site.path("out", "never"), "--password-file", put(site.path("older"), b"what it was before\n"),
                           code=WRONG_KEY, env=dict(site.env, SEALIFT_STATE=site.path("nobody")))
    expect("needs generation 2" in refused.stderr and key["earlier"][0][:9] in refused.stderr
           and refused.stderr.count("earlier one") == 1, f"the password may be an earlier one: {refused.stderr}")

    # --- and another, with a read grant of the newest alone at the opener
    put(os.path.join(tree, "third"), os.urandom(50000))
    site.sealift("key", "rotate", "main", "--from-file", newest_file, "--yes")
    rotation.offline_all("offline with the newest secret, of which no point is there", "--key-file", newest_file)
    site.sealift("key", "grant", "main", "restorer", "--half", "read")
    rotation.backup()
    # the operator's copies go: only the grant of the newest generation is left
    state = site.path("operator")
    shutil.copytree(state, site.path("operator-kept"))
    me = rotation.ask("operator", "list")["operators"][0]["name"]
    rotation.restore_all("three generations by one grant")
    expect(rotation.ask("key", "show", "main")["generation"] == 3, "three generations")
    listing = rotation.ask("key", "list")["keys"]
    expect([entry["name"] for entry in listing] == ["main"] and listing[0]["generation"] == 3,
           f"one key in the list: {listing}")

    # --- offline: by the operator's state, and the secret of the newest alone
    rotation.offline_all("offline with the operator's state", state=state)
    rotation.offline_all("offline with the newest secret", "--key-file", newest_file)
    # --- rewrapping: a trusted host sends what a keyless owner keeps
    seals = os.path.join(site.path("store", "r"), "rewrap")
    done = rotation.ask("key", "rewrap", "main")["repositories"]
    expect(len(done) == 1 and done[0]["text"] == "3 seals rewrapped, 0 were before", f"{done}")
    kept = {seal: sorted(os.listdir(os.path.join(seals, seal))) for seal in os.listdir(seals)}
    expect(len(kept) == 3 and all(names == ["1"] for names in kept.values()), f"one for each seal: {kept}")
    done = rotation.ask("key", "rewrap", "main", "--at", "restorer")["repositories"]
    expect(done[0]["text"] == "0 seals rewrapped, 3 were before", f"nothing twice: {done}")
    rotation.restore_all("after rewrapping")
    site.sealift("repository", "check", "offsite", "--wait")

    # --- a rotation that rewraps, cut off behind its new grants and jobs: the same command goes on with it
    site.daemons["vault"].stop()
    command = ("key", "rotate", "main", "--generate", "--rewrap", "--yes", "--at", "source")
    waiting = rotation.begin(*command)
    wait_until(lambda: [grant["half"] for grant in rotation.ask("key", "show", "main")["grants"]].count("write") == 1
               and rotation.ask("key", "show", "main")["generation"] == 4, "the rotation waits for the repository's host")
    wait_until(lambda: not any(grant["half"] == "write" for grant in rotation.ask(
        "key", "show", rotation.ask("key", "show", "main")["earlier"][0])["grants"]), "nobody writes under the one before")
    waiting.kill()
    waiting.wait()
    site.run_transporter("vault").wait_for("event=director_connected")
    said = site.sealift(*command)
    made, before = (int(word) for word in re.search(r"(\d+) seals? rewrapped, (\d+) w", said.stderr).groups())
    expect("begun and not finished" in said.stderr and made + before == 4, f"finished: {said.stderr}")
    expect(rotation.ask("key", "show", "main")["generation"] == 4, "and no other generation is made")

    # --- what does not fit is named, and a restore goes on without it
    kept = rotation.rewraps()
    first, second = sorted(kept)[:2]

    def planted(seal, content, code, says):
        number = str(len(rotation.rewraps()[seal]) + 1)
        path = put(os.path.join(seals, seal, number), content)
        checked = site.sealift("repository", "check", "offsite", "--wait", code=code)
        expect(says in checked.stdout + checked.stderr and f"rewrap/{seal}/{number}" in checked.stdout + checked.stderr,
               f"'{says}' of {seal}/{number}: {checked.stdout}{checked.stderr}")
        os.unlink(path)

    with open(os.path.join(seals, first, "1"), "rb") as file:
        good = file.read()
    planted(second, good, DAMAGED, "another seal")
    for at in (20, len(good) // 2):  # in the payload, and in what is signed last
        planted(first, good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], NOT_AUTHENTIC, "signature")
    put(os.path.join(seals, first, "1"), good[:60] + bytes([good[60] ^ 1]) + good[61:])
    rotation.restore_all("beside a flipped rewrap")
    put(os.path.join(seals, first, "1"), good)

    # --- copies take along what opens their points, also what is of a later generation
    site.sealift("repository", "create", "second", "--on", "vault", "--path", site.path("store", "c"))
    site.sealift("job", "create", "copies", "--copy", "offsite", "--repository", "second")
    site.sealift("key", "rotate", "main", "--from-file", last_file, "--yes")
    site.sealift("job", "run", "copies", "--wait")

    def same_rewraps(what):
        paths = [site.path("store", name, "rewrap") for name in ("r", "c")]
        kept = [{(seal, name): open(os.path.join(path, seal, name), "rb").read()
                 for seal in os.listdir(path) for name in os.listdir(os.path.join(path, seal))} for path in paths]
        expect(kept[0] == kept[1] and len(kept[0]) > 3, f"{what}: the copy has the same rewraps")

    same_rewraps("with the points")
    shutil.rmtree(site.path("store", "c", "rewrap"))
    site.sealift("job", "run", "copies", "--wait")
    same_rewraps("and of points that were copied before")
    site.sealift("repository", "check", "second", "--wait")
    rotation.offline_all("a copy, offline with the last secret", "--key-file", last_file, repository="c")

    # --- killed at random: each round a new generation, and every old seal gets one rewrap to it. Where a seal has room
    # for no more, the newest rewrap is taken away instead, and comes back
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    def take_newest_away():
        for seal, names in rotation.rewraps().items():
            os.unlink(os.path.join(seals, seal, names[-1]))

    for number in range(ROUNDS):
        if number < ROTATIONS:
            site.sealift("key", "rotate", "main", "--generate", "--yes")
        else:
            take_newest_away()
        victim = chance.choice(["vault", "source"])
        command = rotation.begin("key", "rewrap", "main", "--at", "source")
        time.sleep(chance.uniform(0.0, 0.35))
        site.daemons[victim].kill()
        command.kill()
        command.wait()
        site.run_transporter(victim).wait_for("event=director_connected")
        done = rotation.ask("key", "rewrap", "main", "--at", "source")["repositories"]
        made, before = (int(word) for word in done[0]["text"].split() if word.isdigit())
        expect(made + before == 4, f"round {number}: {done}")
        expect(sorted(len(names) for names in rotation.rewraps().values()) == [min(number, ROTATIONS - 1) + 2] + 3 * [min(number, ROTATIONS - 1) + 3],
               f"round {number}: none twice: {rotation.rewraps()}")

    # --- a rotation cut off anywhere: jobs run, and the same command finishes it
    for number in range(max(3, ROUNDS // 5)):
        command = rotation.begin("key", "rotate", "main", "--generate", "--yes")
        time.sleep(chance.uniform(0.02, 0.25))
        command.kill()
        command.wait()
        site.sealift("job", "run", "web", "--wait")
        site.sealift("key", "rotate", "main", "--generate", "--yes")
        newest = rotation.ask("key", "show", "main")
        expect("source" in {grant["recipient"] for grant in newest["grants"] if grant["half"] == "write"}
               and "restorer" in {grant["recipient"] for grant in newest["grants"]}, f"all have the newest: {newest}")
        for earlier in newest["earlier"]:
            halves = {grant["half"] for grant in rotation.ask("key", "show", earlier)["grants"]}
            expect(halves <= {"read"}, f"nobody writes under an earlier generation: {halves}")
    done = rotation.backup()
    expect(done["sent_bytes"] < 20000, f"still nothing is sent again: {done}")
    rotation.restore_all("after all that")

    # --- a new deduplication secret: what it costs is said, and old points open all the same
    said = site.sealift("key", "rotate", "main", "--generate", "--new-dedup", "--yes")
    expect("stores all that it still has again" in said.stderr, f"what it costs: {said.stderr}")
    done = rotation.backup()
    expect(done["sent_bytes"] > 100000, f"all of it is sent: {done}")
    rotation.restore_all("with a new deduplication secret")

    # --- what protects the key outside protects its new generation, or is left out by name
    site.sealift("key", "create", "guarded", "--description", "by a KMS", "--generate", "--kms", "here")
    site.sealift("key", "rotate", "guarded", "--generate", "--yes")
    guarded = rotation.ask("key", "show", "guarded")
    expect(guarded["generation"] == 2 and [wrap["entry"] for wrap in guarded["protectors"]] == ["here"],
           f"wrapped again: {guarded}")
    site.daemons["source"].stop()
    refused = site.sealift("key", "rotate", "guarded", "--generate", "--yes", code=(3, 4, 6, 7))
    expect("'here'" in refused.stderr and "--without-kms here" in refused.stderr, f"it is named: {refused.stderr}")
    expect(rotation.ask("key", "show", "guarded")["generation"] == 2, "and nothing has happened")
    site.sealift("key", "rotate", "guarded", "--generate", "--without-kms", "here", "--yes")
    guarded = rotation.ask("key", "show", "guarded")
    expect(guarded["generation"] == 3 and guarded["protectors"] == [], f"left out: {guarded}")
    site.run_transporter("source").wait_for("event=director_connected")

    # --- a host is revoked: it loses what it was granted of every generation
    said = site.sealift("transporter", "revoke", "restorer", "--yes")
    expect("read half" in said.stderr and "key rotate main" in said.stderr, f"what it had is said: {said.stderr}")
    newest = rotation.ask("key", "show", "main")
    for name in ["main", *newest["earlier"]]:
        grants = rotation.ask("key", "show", name)["grants"]
        expect(len(grants) <= 2 and all(grant["recipient"] in ("source", me) for grant in grants), f"{name}: {grants}")
    # and what it rewrapped (nothing here) or wrote later is the checks' to name
    site.sealift("repository", "check", "offsite", "--wait")
print("points of every generation are restored, nothing is sent again")
