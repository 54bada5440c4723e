"""Who may do what.

A role is a list of permissions. It is given to a user at a path, and counts there and for everything below; a role that
is given further down replaces it there.
"""

from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)


class Drive(RoleBasedAccessControl):
    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)  # all of them: to give roles, and to read the log, too

    class editor(RoleBasedAccessControl.Role):
        permissions = [
            Permissions.READ_TREE_DIRECTORY,
            Permissions.READ_FILE,
            Permissions.CREATE_FILE,
            Permissions.WRITE_FILE,
            Permissions.CREATE_SUB_DIRECTORY,
        ]

    class viewer(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_TREE_DIRECTORY, Permissions.READ_FILE]

    # Whoever was given no role has none, and sees nothing but what is shared with them.
    DefaultRole(None)

    # Nor do those who have not logged in.
    AnonymousPermissions(permissions=[])

    # What every user may do directly in "/": make a folder there, and see which there are for them.
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY, Permissions.READ_TREE_DIRECTORY])
