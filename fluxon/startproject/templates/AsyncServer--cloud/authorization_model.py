"""Who may do what in the cloud storage.

A role says what those may do who have it. It is assigned to a user at a path, and goes down to everything below; a role
that is assigned further down replaces it there. Write as many models as you like; router.py names the one that counts.
"""

from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)


class CloudAuthorizationModel(RoleBasedAccessControl):
    class owner(RoleBasedAccessControl.Role):
        permissions = [
            Permissions.CREATE_FILE,
            Permissions.READ_FILE,
            Permissions.WRITE_FILE,
            Permissions.DELETE_FILE,
            Permissions.CREATE_SUB_DIRECTORY,
            Permissions.DELETE_SUB_DIRECTORY,
            Permissions.READ_TREE_DIRECTORY,
            Permissions.MOVE,
            Permissions.ASSIGN_ROLES,
        ]

    class collaborator(RoleBasedAccessControl.Role):
        permissions = [
            Permissions.READ_FILE,
            Permissions.WRITE_FILE,
            Permissions.READ_TREE_DIRECTORY,
            Permissions.CREATE_FILE,
        ]

    class viewer(RoleBasedAccessControl.Role):
        permissions = [
            Permissions.READ_FILE,
            Permissions.READ_TREE_DIRECTORY,
        ]

    # Of every logged-in user to whom no role is assigned. With DefaultRole(None), or without this line, they have
    # none, and see only what somebody has shared with them.
    DefaultRole(viewer)

    # What those may do who have not logged in: nothing.
    AnonymousPermissions(permissions=[])

    # What every logged-in user may do directly in "/", so that they can begin somewhere.
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY])
