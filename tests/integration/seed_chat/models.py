from fluxon.database import models

class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.CharField(max_length=200)
    email = models.CharField(max_length=130, unique=True)
    user_creation_date = models.DateTimeField(auto_now_add=True)
