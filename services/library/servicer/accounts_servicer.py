"""Accounts, sessions and the caller's own profile."""

from uuid import UUID

from gaji.library.v1 import auth_service_pb2 as auth
from gaji.library.v1 import auth_service_pb2_grpc as auth_rpc
from gaji.library.v1 import user_service_pb2 as users
from gaji.library.v1 import user_service_pb2_grpc as users_rpc

from mesh import identity
from mesh.interceptors.pipeline import Context
from services.library.domain.accounts import Accounts
from services.library.domain.sessions import Sessions
from services.library.servicer import wire


class AuthServicer(auth_rpc.AuthServiceServicer):
    """`gaji.library.v1.AuthService`."""

    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def Register(self, request: auth.RegisterRequest, context: Context) -> auth.RegisterResponse:
        who = identity.current()
        guest_id: UUID | None = wire.caller() if who is not None and who.guest else None
        session = await self._accounts.register(request.email, request.password, request.display_name, guest_id)
        return auth.RegisterResponse(session=wire.session(session))

    async def Login(self, request: auth.LoginRequest, context: Context) -> auth.LoginResponse:
        session = await self._accounts.login(request.email, request.password)
        return auth.LoginResponse(session=wire.session(session))

    async def CreateGuest(self, request: auth.CreateGuestRequest, context: Context) -> auth.CreateGuestResponse:
        session = await self._accounts.create_guest(request.display_name)
        return auth.CreateGuestResponse(session=wire.session(session))

    async def RefreshToken(self, request: auth.RefreshTokenRequest, context: Context) -> auth.RefreshTokenResponse:
        session = await self._accounts.refresh(request.refresh_token)
        return auth.RefreshTokenResponse(session=wire.session(session))

    async def Logout(self, request: auth.LogoutRequest, context: Context) -> auth.LogoutResponse:
        await self._accounts.logout(request.refresh_token, identity.current())
        return auth.LogoutResponse()

    async def CreateStreamTicket(
        self, request: auth.CreateStreamTicketRequest, context: Context
    ) -> auth.CreateStreamTicketResponse:
        ticket, seconds = self._sessions.ticket(identity.require())
        return auth.CreateStreamTicketResponse(ticket=ticket, expires_in=seconds)

    async def RedeemStreamTicket(
        self, request: auth.RedeemStreamTicketRequest, context: Context
    ) -> auth.RedeemStreamTicketResponse:
        return auth.RedeemStreamTicketResponse(access_token=self._sessions.redeem(identity.require()))

    async def ListRevocations(
        self, request: auth.ListRevocationsRequest, context: Context
    ) -> auth.ListRevocationsResponse:
        since = wire.moment("since", request.since) if request.HasField("since") else None
        page = await self._sessions.revocations(since, request.page_size, request.page_token)
        return auth.ListRevocationsResponse(
            revocations=[wire.revocation(each, self._sessions.forgotten_at(each)) for each in page.listed],
            next_page_token=page.next_page_token,
            as_of=wire.timestamp(page.as_of),
        )


class UserServicer(users_rpc.UserServiceServicer):
    """`gaji.library.v1.UserService`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def GetProfile(self, request: users.GetProfileRequest, context: Context) -> users.GetProfileResponse:
        return users.GetProfileResponse(user=wire.user(await self._accounts.profile(wire.caller())))

    async def UpdateProfile(self, request: users.UpdateProfileRequest, context: Context) -> users.UpdateProfileResponse:
        name = request.display_name if request.HasField("display_name") else None
        return users.UpdateProfileResponse(user=wire.user(await self._accounts.update_profile(wire.caller(), name)))
