"""Resuming, logging in and out, revoking: what the tokens of a server are worth, and until when."""

import base64
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import Conflict, InvalidPayload, NotFound
from fluxon.security.tokens import TokenSigner
from fluxon.sessions import Ending, Resumed, Session
from fluxon.sessions.record import key_of


class SessionsCase(SynchronousTestCase):
    """Words that the tests below share."""

    house: Any

    def resume(self, token: str | None = None, sessions: Any = None) -> Resumed:
        return self.successResultOf((sessions or self.house.sessions).resume(token))

    def login(self, session: Session, user_id: Any = 1) -> tuple[Session, str]:
        return self.successResultOf(self.house.sessions.login(session, user_id))

    def logged_in(self, user_id: int = 1) -> tuple[Session, str]:
        return self.login(self.resume().session, user_id)

    def assert_stranger(self, resumed: Resumed) -> None:
        """A token got nothing: a new session of nobody, and the client is told."""
        self.assertTrue(resumed.fresh)
        self.assertIsNone(resumed.session.user_id)
        self.assertIsNone(resumed.session.user)


class ResumeTests(SessionsCase):
    """What a hello gets."""

    def test_without_token(self) -> None:
        """A first hello makes an anonymous session; nothing was refused."""
        resumed = self.resume()
        self.assertFalse(resumed.fresh)
        self.assertIsNone(resumed.session.user_id)
        self.assertIsNone(resumed.session.user)

    def test_two_strangers_are_two(self) -> None:
        """Two first hellos share nothing."""
        self.assertNotEqual(self.resume().session.id, self.resume().session.id)

    def test_anonymous_comes_back(self) -> None:
        """After a lost connection the token brings the same session, though no object of it was left."""
        first = self.resume()
        session_id, token = first.session.id, first.token
        del first
        self.assertEqual(self.house.sessions.live_count, 0)
        again = self.resume(token)
        self.assertFalse(again.fresh)
        self.assertEqual(again.session.id, session_id)

    def test_anonymous_is_of_its_process(self) -> None:
        """Anonymous sessions are in memory only: another process does not know them and does not pretend to."""
        self.assert_stranger(self.resume(self.resume().token, self.house.process()))

    def test_login_outlives_restart(self) -> None:
        """A process that starts on the same store knows who is logged in, with the user's row."""
        session, token = self.logged_in()
        resumed = self.resume(token, self.house.process())
        self.assertFalse(resumed.fresh)
        self.assertEqual((resumed.session.id, resumed.session.user_id), (session.id, 1))
        self.assertEqual(resumed.session.user.username, "ann")

    def test_nothing_else_is_honoured(self) -> None:
        """Forged, damaged, foreign and empty tokens get a stranger's session, and none of them an error."""
        session, token = self.logged_in()
        version, key_id, _, mac = token.split(".")
        known_id = base64.urlsafe_b64encode(session.id).rstrip(b"=").decode()
        foreign = TokenSigner({"k1": b"x" * 32}).sign(session.id)
        damaged = token[:-1] + ("A" if token[-1] != "A" else "B")
        for bad in ("", "v1", known_id, f"{version}.{key_id}.{known_id}.{'A' * len(mac)}", foreign, damaged, "é" * 80):
            self.assert_stranger(self.resume(bad))
        self.assertFalse(self.resume(token).fresh)

    def test_signed_but_unknown(self) -> None:
        """A token that this server signed for a session it no longer has tells no more than a forged one."""
        self.assert_stranger(self.resume(self.house.signer.sign(b"i" * 16)))

    def test_connections_of_one_id_share_one_session(self) -> None:
        """Two hellos with one token get one object, at once or one after the other."""
        session, token = self.logged_in()
        self.assertIs(self.resume(token).session, session)
        fresh_process = self.house.process()
        self.house.users.slow = True
        both = [fresh_process.resume(token), fresh_process.resume(token)]
        self.house.users.answer()
        one, other = (self.successResultOf(each).session for each in both)
        self.assertIs(one, other)
        self.assertEqual(self.house.users.asked, 2, "one look for the login, one for both hellos")

    def test_old_key_is_renewed(self) -> None:
        """A token of an older key is honoured, and the answer is signed with the newest."""
        _, token = self.logged_in()
        self.house.signer.use_keys({**self.house.keys, "k2": b"2" * 32})
        resumed = self.resume(token)
        self.assertFalse(resumed.fresh)
        self.assertEqual(resumed.token.split(".")[1], "k2")
        self.house.signer.use_keys({"k2": b"2" * 32})
        self.assert_stranger(self.resume(token))
        self.assertFalse(self.resume(resumed.token).fresh)

    def test_store_never_sees_an_id(self) -> None:
        """What is stored holds neither the id nor the token, and the name for logs is no part of either."""
        session, token = self.logged_in()
        stored = repr(self.successResultOf(self.house.store.load(key_of(session.id))))
        for secret in (repr(session.id), session.id.hex(), token, "hash-of-ann"):
            self.assertNotIn(secret, stored)
        self.assertNotIn(session.public_id, session.id.hex() + token)
        self.assertNotIn(session.id.hex(), repr(session))

    def test_revoked_while_being_read(self) -> None:
        """A user thrown out while a hello was being answered is not let in on what was read before."""
        session, token = self.logged_in()
        del session
        process = self.house.process()
        self.house.users.slow = True
        hello = process.resume(token)
        self.successResultOf(process.revoke_user(1))
        self.house.users.answer()
        self.assert_stranger(self.successResultOf(hello))


class LoginTests(SessionsCase):
    """A login makes a new id, and only whoever logged in has it."""

    def test_login(self) -> None:
        """The session that follows has the user and a token that resumes it."""
        session, token = self.logged_in(2)
        self.assertEqual((session.user_id, session.user.username), (2, "bob"))
        self.assertIs(self.resume(token).session, session)

    def test_fixation(self) -> None:
        """The id from before the login, planted or copied, is dead for everybody: here, in the store, elsewhere."""
        planted = self.resume()
        session, _ = self.login(planted.session)
        self.assertNotEqual(session.id, planted.session.id)
        self.assertIs(planted.session.ending, Ending.ROTATED)
        self.assert_stranger(self.resume(planted.token))
        self.assert_stranger(self.resume(planted.token, self.house.process()))

    def test_old_id_is_dead_before_the_answer(self) -> None:
        """While the login waits for the store's answer nothing is ended; when it is answered, the old id already is."""
        session, token = self.logged_in()
        self.house.store.slow = True
        login = self.house.sessions.login(session, 2)
        self.assertNoResult(login)
        self.assertFalse(session.ended)
        seen: list[bool] = []
        login.addCallback(lambda _: seen.append(session.ended))
        self.house.store.answer()
        self.house.store.slow = False
        self.assertEqual(seen, [True])
        self.assert_stranger(self.resume(token))

    def test_login_again(self) -> None:
        """A logged-in session that logs in, as another user or the same, leaves no row of its old id."""
        session, token = self.logged_in(1)
        following, _ = self.login(session, 2)
        self.assertEqual(following.user_id, 2)
        self.assertEqual(self.successResultOf(self.house.sessions.list_user(1)), [])
        self.assert_stranger(self.resume(token, self.house.process()))

    def test_no_user_id(self) -> None:
        """What is no positive int is refused before anything is touched: this session and the user's others live on."""
        other, _ = self.logged_in(1)
        session, token = self.logged_in(1)
        bad: list[Any] = [True, False, "1", 1.0, None, b"1", 0, -1, 2**63, [1], float("nan")]
        for user_id in bad:
            self.failureResultOf(self.house.sessions.login(session, user_id), InvalidPayload)
        self.assertFalse(session.ended or other.ended)
        self.assertIs(self.resume(token).session, session)
        self.assertEqual(len(self.successResultOf(self.house.sessions.list_user(1))), 2)

    def test_unknown_user(self) -> None:
        """A user that does not exist cannot be logged in; the session is as it was."""
        before = self.resume()
        self.failureResultOf(self.house.sessions.login(before.session, 99), NotFound)
        self.assertFalse(before.session.ended)
        self.assertIs(self.resume(before.token).session, before.session)

    def test_several_devices(self) -> None:
        """A user may be logged in on several devices; a login on one does not disturb another."""
        phone, phone_token = self.logged_in(1)
        laptop, _ = self.logged_in(1)
        self.assertFalse(phone.ended)
        self.assertEqual(set(self.house.sessions.of_user(1)), {phone, laptop})
        self.assertFalse(self.resume(phone_token, self.house.process()).fresh)

    def test_concurrent_logins(self) -> None:
        """Of logins of one session in flight one wins; the other is told, and leaves no second session behind."""
        before = self.resume().session
        self.house.users.slow = True
        first, second = (self.house.sessions.login(before, user_id) for user_id in (1, 2))
        self.house.users.answer()
        self.house.users.answer()
        session, _ = self.successResultOf(first)
        self.failureResultOf(second, Conflict)
        self.assertEqual(session.user_id, 1)
        self.assertEqual(self.successResultOf(self.house.sessions.list_user(2)), [])

    def test_concurrent_logins_while_the_store_works(self) -> None:
        """The same when the second comes while the first is being written: no row is left that nobody holds."""
        before = self.resume().session
        self.house.store.slow = True
        first, second = (self.house.sessions.login(before, 1) for _ in range(2))
        self.house.store.answer()
        self.house.store.answer()
        session, _ = self.successResultOf(first)
        self.failureResultOf(second, Conflict)
        self.house.store.slow = False
        listed = self.successResultOf(self.house.sessions.list_user(1))
        self.assertEqual([each.key for each in listed], [session.key])

    def test_login_after_one_that_failed(self) -> None:
        """A login that waited behind one that failed is carried out."""
        before = self.resume().session
        self.house.users.slow = True
        first, second = (self.house.sessions.login(before, user_id) for user_id in (99, 2))
        self.house.users.answer()
        self.house.users.answer()
        self.failureResultOf(first, NotFound)
        self.assertEqual(self.successResultOf(second)[0].user_id, 2)

    def test_concurrent_logins_of_two_processes(self) -> None:
        """Two processes that share a session cannot both follow it: the row is there for one of them."""
        here, token = self.logged_in(1)
        process = self.house.process()
        there = self.resume(token, process).session
        self.login(here, 2)
        self.failureResultOf(process.login(there, 1), Conflict)
        self.assertTrue(there.ended)
        self.assertEqual(self.successResultOf(process.list_user(1)), [])

    def test_revoked_session_cannot_follow_itself(self) -> None:
        """Who was thrown out by another process cannot stay by rotating the id before this one notices."""
        session, _ = self.logged_in(1)
        self.successResultOf(self.house.process().revoke_user(1))
        self.assertTrue(session.fresh(self.house.clock.seconds()))
        self.failureResultOf(self.house.sessions.login(session, 1), Conflict)
        self.assertEqual(self.successResultOf(self.house.sessions.list_user(1)), [])

    def test_cancelled_login_is_carried_to_its_end(self) -> None:
        """A view that gives up waiting leaves memory and store agreeing: the rotation that began is done."""
        session, token = self.logged_in(1)
        self.house.store.slow = True
        login = self.house.sessions.login(session, 2)
        login.cancel()
        self.failureResultOf(login, CancelledError)
        self.house.store.answer()
        self.house.store.slow = False
        self.assertIs(session.ending, Ending.ROTATED)
        self.assert_stranger(self.resume(token))

    def test_password_changed_and_logged_in_again(self) -> None:
        """The view that changes a password keeps its own caller by logging in; the other devices are out."""
        here, _ = self.logged_in(1)
        _, other_token = self.logged_in(1)
        self.house.users.change_password(1)
        here, token = self.login(here, 1)
        self.house.clock.advance(5)
        self.assertIs(self.resume(token).session, here)
        self.assert_stranger(self.resume(other_token))


class LogoutTests(SessionsCase):
    """A logout ends the session everywhere."""

    def test_logout(self) -> None:
        """The token is worth nothing afterwards, here and in a new process; what follows is anonymous."""
        session, token = self.logged_in()
        following, new_token = self.successResultOf(self.house.sessions.logout(session))
        self.assertIsNone(following.user_id)
        self.assertIs(session.ending, Ending.LOGGED_OUT)
        self.assert_stranger(self.resume(token))
        self.assert_stranger(self.resume(token, self.house.process()))
        self.assertIs(self.resume(new_token).session, following)

    def test_anonymous_logout(self) -> None:
        """Nobody may log out too: the id changes."""
        before = self.resume()
        following, _ = self.successResultOf(self.house.sessions.logout(before.session))
        self.assertIsNot(following, before.session)
        self.assert_stranger(self.resume(before.token))

    def test_twice(self) -> None:
        """Logging out of a session that is over is no error."""
        session, _ = self.logged_in()
        self.successResultOf(self.house.sessions.logout(session))
        self.assertIsNone(self.successResultOf(self.house.sessions.logout(session))[0].user_id)

    def test_behind_a_login(self) -> None:
        """A logout of the id that a login just replaced does not pretend that the user is logged out."""
        before = self.resume().session
        self.house.users.slow = True
        login, logout = self.house.sessions.login(before, 1), self.house.sessions.logout(before)
        self.house.users.answer()
        self.successResultOf(login)
        self.failureResultOf(logout, Conflict)


class RevocationTests(SessionsCase):
    """Ending sessions from outside."""

    def test_revoke_user(self) -> None:
        """Every session of the user ends at once, in memory and store; other users notice nothing."""
        ann = [self.logged_in(1) for _ in range(3)]
        bob, _ = self.logged_in(2)
        self.assertEqual(self.successResultOf(self.house.sessions.revoke_user(1)), 3)
        self.assertEqual({session.ending for session, _ in ann}, {Ending.REVOKED})
        for _, token in ann:
            self.assert_stranger(self.resume(token))
        self.assertFalse(bob.ended)
        self.assertEqual(self.house.sessions.of_user(1), [])

    def test_keep(self) -> None:
        """\"Log me out everywhere else\" leaves the session that asks."""
        kept, token = self.logged_in(1)
        other, _ = self.logged_in(1)
        self.assertEqual(self.successResultOf(self.house.sessions.revoke_user(1, keep=kept)), 1)
        self.assertTrue(other.ended)
        self.assertFalse(self.resume(token, self.house.process()).fresh)

    def test_revoke_one(self) -> None:
        """One session ends, live or only stored, by its object or its record; the user's others go on."""
        live, live_token = self.logged_in(1)
        kept, _ = self.logged_in(1)
        self.assertIs(self.successResultOf(self.house.sessions.revoke(live)), True)
        self.assertIs(self.successResultOf(self.house.sessions.revoke(live)), False)
        self.assert_stranger(self.resume(live_token))
        _, stored_token = self.logged_in(1)
        [record] = [each for each in self.successResultOf(self.house.sessions.list_user(1)) if each.key != kept.key]
        self.assertIs(self.successResultOf(self.house.process().revoke(record)), True)
        self.house.clock.advance(2)
        self.assert_stranger(self.resume(stored_token))
        self.assertFalse(kept.ended)

    def test_revoked_by_record_while_it_comes(self) -> None:
        """A session whose client says hello while its row is being deleted is ended with it."""
        _, token = self.logged_in(1)
        process = self.house.process()
        [record] = self.successResultOf(process.list_user(1))
        hello: list[Resumed] = []
        self.house.users.slow = True
        process.resume(token).addCallback(hello.append)
        self.house.store.slow = True
        revoked = process.revoke(record)
        self.house.users.answer()
        self.house.store.slow = False
        self.assertFalse(hello[0].session.ended)
        self.house.store.answer()
        self.assertIs(self.successResultOf(revoked), True)
        self.assertIs(hello[0].session.ending, Ending.REVOKED)

    def test_revoked_anonymous(self) -> None:
        """A stranger's session can be ended too."""
        before = self.resume()
        self.successResultOf(self.house.sessions.revoke(before.session))
        self.assert_stranger(self.resume(before.token))

    def test_end_is_told_once(self) -> None:
        """Whoever closes streams hears of each end once, with the connections still there."""
        session, _ = self.logged_in(1)
        self.house.ended.clear()
        session.attach("connection")
        self.successResultOf(self.house.sessions.revoke_user(1))
        self.successResultOf(self.house.sessions.revoke_user(1))
        self.assertEqual(self.house.ended, [session])
        self.assertEqual(session.connections, ("connection",))

    def test_ended_while_it_is_revoked(self) -> None:
        """Two who end one session at the same time: one of them did it, and its end is told once."""
        session, _ = self.logged_in(1)
        self.house.ended.clear()
        self.house.store.slow = True
        revoked, of_user = self.house.sessions.revoke(session), self.house.sessions.revoke_user(1)
        self.house.store.answer()
        self.assertIs(self.successResultOf(revoked), True)
        self.assertEqual(self.successResultOf(of_user), 0)
        self.assertEqual(self.house.ended, [session])
        self.house.store.slow = False
        another, _ = self.logged_in(1)
        self.house.ended.clear()
        self.house.store.slow = True
        of_user, revoked = self.house.sessions.revoke_user(1), self.house.sessions.revoke(another)
        self.house.store.answer()
        self.assertEqual(self.successResultOf(of_user), 1)
        self.assertIs(self.successResultOf(revoked), False)
        self.assertEqual(self.house.ended, [another])

    def test_failing_listener(self) -> None:
        """An error of whoever hears of ends is logged, and every session ends all the same."""

        def fail(session: Session) -> None:
            raise RuntimeError("listener")

        sessions = self.house.process(on_end=fail)
        ann = [self.successResultOf(sessions.login(self.resume(None, sessions).session, 1))[0] for _ in range(2)]
        self.successResultOf(sessions.revoke_user(1))
        self.assertTrue(all(session.ended for session in ann))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 4, "two logins and two revocations")
