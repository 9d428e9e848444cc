//! What is taken away: servers with all that was made for them, and groups that no server came for.

use super::*;

#[tokio::test]
async fn a_group_that_somebody_deleted_is_made_again() {
    let gone = error("InvalidGroup.NotFound");
    let mut answers = creating((200, MADE));
    answers.extend([("RunInstances", 400, gone.as_str()), ("RunInstances", 200, MADE)]);
    let script = Script::new(&answers);
    let aws = driver(&script, &[]);
    aws.create(&order()).await.unwrap();
    aws.create(&Order { token: Token::random(), ..order() }).await.unwrap();
    assert_eq!((script.count("RunInstances"), script.count("CreateSecurityGroup")), (3, 2));
}

#[tokio::test]
async fn of_many_refused_launches_the_last_takes_the_group_back() {
    let body = error("InsufficientInstanceCapacity");
    let script = Script::new(&creating((500, &body)));
    let aws = driver(&script, &[]);
    let orders: Vec<Order> = (0..20).map(|_| Order { token: Token::random(), ..order() }).collect();
    for refused in futures_util::future::join_all(orders.iter().map(|order| aws.create(order))).await {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoCapacity);
    }
    let (made, gone) = (script.count("CreateSecurityGroup"), script.count("DeleteSecurityGroup"));
    assert_eq!(made, gone, "each group that was made is gone again");
    assert!(made < 10, "{made} groups for 20 launches");
}

#[tokio::test]
async fn a_group_whose_answer_was_lost_is_taken_or_left_to_the_same_token() {
    let body = error("InternalError");
    let mut answers = creating((200, MADE));
    answers[5] = ("CreateSecurityGroup", 500, &body);
    let found = "<R><securityGroupInfo><item><groupId>sg-2</groupId></item></securityGroupInfo></R>";
    for (status, found, runs) in [(200, found, 1), (200, "<R><securityGroupInfo/></R>", 0), (500, body.as_str(), 0)] {
        let mut answers = answers.clone();
        answers.push(("DescribeSecurityGroups", status, found));
        let script = Script::new(&answers);
        let made = driver(&script, &[]).create(&order()).await;
        assert_eq!(script.count("RunInstances"), runs, "{found}");
        // In doubt, so that the engine orders again under this token and no other.
        let in_doubt = made.as_ref().is_err_and(|error| error.effect() == Effect::Unknown);
        assert_eq!((made.is_ok(), in_doubt), (runs == 1, runs == 0), "{found}");
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_taken_back_is_left_to_the_same_token() {
    let (refusal, failure) = (error("UnauthorizedOperation"), error("InternalError"));
    for (status, body, effect) in [(200, OK, Effect::None), (500, failure.as_str(), Effect::Unknown)] {
        let mut answers = creating((403, &refusal));
        answers[7] = ("DeleteSecurityGroup", status, body);
        let refused = driver(&Script::new(&answers), &[]).create(&order()).await.unwrap_err();
        assert_eq!(refused.effect(), effect, "{body}");
    }
}

#[tokio::test]
async fn delete_waits_and_sweeps() {
    let (up, ending, over) =
        (server("i-1", 16, ""), server("i-1", 32, ""), server("i-1", 48, "Client.UserInitiatedShutdown"));
    let (used, freed) = (error("DependencyViolation"), error("InvalidGroup.NotFound"));
    let script = Script::new(&[
        ("DescribeInstances", 200, &up),
        ("DescribeInstances", 200, &ending),
        ("DescribeInstances", 200, &ending),
        ("DescribeInstances", 200, &over),
        // Its own end, its twins, and who else is in the group.
        ("DescribeInstances", 200, &over),
        ("DescribeInstances", 200, NONE),
        ("TerminateInstances", 200, OK),
        (
            "DescribeVolumes",
            200,
            "<R><volumeSet><item><volumeId>vol-1</volumeId><status>available</status></item></volumeSet></R>",
        ),
        ("DescribeVolumes", 200, "<R><volumeSet/></R>"),
        ("DeleteVolume", 200, OK),
        ("DescribeSecurityGroups", 200, GROUPS),
        ("DeleteSecurityGroup", 400, &used),
        ("DeleteSecurityGroup", 400, &used),
        ("DeleteSecurityGroup", 400, &used),
        ("DeleteSecurityGroup", 400, &used),
        ("DeleteSecurityGroup", 400, &freed),
    ]);
    let aws = driver(&script, &[]);
    aws.delete(&id()).await.unwrap();
    assert_eq!((script.count("TerminateInstances"), script.count("DeleteVolume")), (1, 1));
    assert_eq!(script.count("DeleteSecurityGroup"), 5);
    assert!(script.last("DeleteSecurityGroup").contains("GroupId=sg-1"));
    assert!(
        script
            .last("DescribeVolumes")
            .contains("Filter.1.Name=tag%3Acapsule-token&Filter.1.Value.1=0123456789abcdefghjkmnpqrs")
    );
    assert!(aws.get(&id()).await.unwrap().is_none());
}

#[tokio::test]
async fn delete_leaves_the_group_to_the_servers_in_it() {
    let (over, other) = (server("i-1", 48, ""), server("i-2", 16, ""));
    let script = Script::new(&[
        ("DescribeInstances", 200, &over),
        ("DescribeInstances", 200, &over),
        ("DescribeInstances", 200, &over),
        ("DescribeInstances", 200, &other),
        ("DescribeVolumes", 200, NONE),
        ("DescribeSecurityGroups", 200, GROUPS),
    ]);
    driver(&script, &[]).delete(&id()).await.unwrap();
    assert_eq!(script.count("DeleteSecurityGroup"), 0);
    assert!(script.last("DescribeInstances").contains("Filter.1.Name=instance.group-id&Filter.1.Value.1=sg-1"));
}

#[tokio::test]
async fn delete_spares_what_a_twin_uses() {
    let (over, twin) = (server("i-1", 48, ""), server("i-2", 16, ""));
    let script = Script::new(&[
        ("DescribeInstances", 200, &over),
        ("DescribeInstances", 200, &over),
        ("DescribeInstances", 200, &twin),
    ]);
    driver(&script, &[]).delete(&id()).await.unwrap();
    assert_eq!(script.count("DescribeSecurityGroups"), 0);
}

#[tokio::test]
async fn delete_gives_up_in_bounded_time() {
    let stuck = server("i-1", 32, "");
    let script = Script::new(&[("DescribeInstances", 200, &stuck), ("TerminateInstances", 200, OK)]);
    let error = driver(&script, &[]).delete(&id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(script.count("DescribeInstances") < 100);
}
