"""The library's gRPC services: proto <-> domain, nothing else."""

from collections.abc import Sequence

from gaji.library.v1 import auth_service_pb2 as auth
from gaji.library.v1 import auth_service_pb2_grpc as auth_rpc
from gaji.library.v1 import conversation_service_pb2 as conversations
from gaji.library.v1 import conversation_service_pb2_grpc as conversations_rpc
from gaji.library.v1 import novel_service_pb2 as novels
from gaji.library.v1 import novel_service_pb2_grpc as novels_rpc
from gaji.library.v1 import reading_service_pb2 as readings
from gaji.library.v1 import reading_service_pb2_grpc as readings_rpc
from gaji.library.v1 import scenario_service_pb2 as scenarios
from gaji.library.v1 import scenario_service_pb2_grpc as scenarios_rpc
from gaji.library.v1 import user_service_pb2 as users
from gaji.library.v1 import user_service_pb2_grpc as users_rpc

from mesh.server import Service
from services.library.domain.library import Library
from services.library.servicer.accounts_servicer import AuthServicer, UserServicer
from services.library.servicer.conversations_servicer import ConversationServicer
from services.library.servicer.novels_servicer import NovelServicer
from services.library.servicer.readings_servicer import ReadingServicer
from services.library.servicer.scenarios_servicer import ScenarioServicer


def services(library: Library) -> Sequence[Service]:
    """What the library's server serves."""
    return [
        # gRPC asks one after the other for each call's handler: the one that is called most comes first.
        Service(
            conversations.DESCRIPTOR.services_by_name["ConversationService"],
            ConversationServicer(library.conversations, library.branches, library.replies, library.writing),
            conversations_rpc.add_ConversationServiceServicer_to_server,
        ),
        Service(
            auth.DESCRIPTOR.services_by_name["AuthService"],
            AuthServicer(library.accounts, library.sessions),
            auth_rpc.add_AuthServiceServicer_to_server,
        ),
        Service(
            users.DESCRIPTOR.services_by_name["UserService"],
            UserServicer(library.accounts),
            users_rpc.add_UserServiceServicer_to_server,
        ),
        Service(
            novels.DESCRIPTOR.services_by_name["NovelService"],
            NovelServicer(library.novels, library.ingestions, library.watching, library.control, library.editing),
            novels_rpc.add_NovelServiceServicer_to_server,
        ),
        Service(
            scenarios.DESCRIPTOR.services_by_name["ScenarioService"],
            ScenarioServicer(library.scenarios),
            scenarios_rpc.add_ScenarioServiceServicer_to_server,
        ),
        Service(
            readings.DESCRIPTOR.services_by_name["ReadingService"],
            ReadingServicer(library.readings),
            readings_rpc.add_ReadingServiceServicer_to_server,
        ),
    ]
