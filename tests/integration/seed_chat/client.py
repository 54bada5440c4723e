from fluxon.connect import ConnectionInterface

def receive_message(sender, message):
    print(f"[{sender}] {message}")

connection = ConnectionInterface(host="localhost", port=8080)
connection.reverse_request_mapping(
    {
        "receive_message": receive_message
    }
)

def create_user(username, password, email):
    return connection.send_request("create_user", {
        'username': username,
        'password': password,
        'email': email
    })

def login(username, password):
    return connection.send_request("login", {
        'username': username,
        'password': password
    })

def send_message(message, receiver):
    return connection.send_request("send_message", {
        'message': message,
        'receiver': receiver
    })

# simple user interaction like signing in, logging out, sending messages,...
if __name__ == "__main__":
    print("Enter command (create_user, login, send_message, exit):\n\n")
    while True:
        command = input().strip()
        if command == "exit":
            break
        elif command == "create_user":
            username = input("Username: ")
            password = input("Password: ")
            email = input("Email: ")
            print(create_user(username, password, email))
        elif command == "login":
            username = input("Username: ")
            password = input("Password: ")
            print(login(username, password))
        elif command == "send_message":
            message = input("Message: ")
            receiver = input("Receiver: ")
            print(send_message(message, receiver))
        else:
            print("Unknown command")
