"""The front-office store on DynamoDB."""
