from fluxon.database.query import where
from fluxon.database.validators import validate_email, validate_password, validate_username
from fluxon.security import Hash
from models import User

def create_user(request):
    username = request.payload.get('username')
    password = request.payload.get('password')
    email = request.payload.get('email')
    # validation
    if not validate_username(username):
        return {'response': 'invalid username'}
    if not validate_email(email):
        return {'response': 'invalid email'}
    if not validate_password(password):
        return {'response': 'invalid password'}
    # insert user
    hashed_password = Hash.hash(password, algorithm=Hash.SHA512)
    if user_id := User.Insert(
        username=username,
        email=email,
        password=hashed_password
    ):
        request.login(user_id)
        return {"response": "signed up successfully"}
    else:
        return {"response": "username or email already exists"}

def login(request):
    username = request.payload['username']
    password = request.payload['password']
    # check credentials
    hashed_password = Hash.hash(password, algorithm=Hash.SHA512)
    query = User.Check(where[
        (User.username == username) & (User.password == hashed_password)
    ], fetch=1, columns=[User.id])
    if query:
        request.login(query[0][0])
        return {"response": "logged in successfully"}
    else:
        return {"response": "wrong username or password"}

def send_message(request):
    # extract data
    receiver = request.payload.get('receiver')
    message = request.payload.get('message')

    if request.user: # ← check if the request sender is a logged in user with an id
        sender = request.user.username
        receiver_id_query = User.Check(where[User.username == receiver], fetch=1, columns=["id"]) # look up the receiver's user id
        if receiver_id_query:
            receiver_id = receiver_id_query[0][0]
            # reverse_request takes the user id of the requested user, the name of the target reverse function, and the payload passed to that function.
            # it returns a boolean of whether the server was able to "reverse request" the far client or not.
            status = request.server.reverse_request(receiver_id, "receive_message", {
                "sender": sender,
                "message": message
            })
            if status:
                return "sent!"
            else: # if the client is not online, do something else, maybe saving it in the database or something
                return f"{receiver} is offline!"
    else: # refuse if the sender is not logged in
        return "login needed"
